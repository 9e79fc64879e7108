import { type BrokerExperiment, startBroker } from "@tidemark/broker";
import { crc32c } from "@tidemark/compression";
import { brokerSchema, consensusChoice, controllerSchema, gatewaySchema } from "@tidemark/config";
import { openSingleStore } from "@tidemark/consensus";
import { type FormatOptions, formatDirectory, memberDirectory, RaftOpenError } from "@tidemark/consensus-raft";
import { type OpenBackend, openRaftBackend, raftDirectoryId, startController } from "@tidemark/controller";
import { startGateway } from "@tidemark/gateway";
import { directoryId } from "@tidemark/ids";
import type { Codecs } from "@tidemark/record";
import type { RunningService, ServiceWorld } from "@tidemark/service";
import { valuesOf } from "./settings.ts";

export type Role = "controller" | "broker" | "gateway";

/** Where each service listens, on hosts of their own. */
export const ports = {
  controller: { client: 4650, internal: 4651 },
  broker: { client: 4660, internal: 4661 },
  gateway: { client: 4640 },
} as const;

/** What a node is started with besides its world. */
export interface NodeStart extends NodeIdentity {
  /** Tells one boot of its machine from another. */
  readonly bootId: string;
  /** What is asked of a broker that no program asks. */
  readonly experiment: BrokerExperiment;
  /** Whether the disk of a member of the controllers' quorum was formatted. */
  readonly formatting: { isDone: boolean };
}

/** What stays the same from one start of a node to the next. */
export interface NodeIdentity {
  readonly role: Role;
  /** `node.id`. */
  readonly id: number;
  /** Of the machine that it runs on. */
  readonly hostName: string;
  /** Internal endpoints of the controllers. */
  readonly controllers: readonly string[];
  /** Beside those that say who and where a process is. */
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  readonly codecs: Codecs;
}

const openSingle: OpenBackend = async ({ disk, directory, runtime }) => {
  const store = await openSingleStore({ disk, directory: `${directory}/single`, crc32c, runtime });
  return { name: "single", consensus: store.candidate(), close: () => store.close() };
};

/** Starts a service by the factory that its program calls: only clock, randomness, timers, disk and transport differ. */
export function startNode(start: NodeStart, world: ServiceWorld): Promise<RunningService> {
  const { role, id, hostName, controllers, codecs, bootId, experiment } = start;
  const settings = {
    "node.id": id,
    "log.level": "info",
    listeners: Object.entries(ports[role])
      .map(([name, port]) => `${name}://${hostName}:${port}`)
      .join(","),
    ...start.settings,
  };
  switch (role) {
    case "controller": {
      if (controllers.length > 1) return startRaftController(start, settings, world);
      const values = valuesOf(controllerSchema, { ...settings, "consensus.backend": "single:///data/metadata" });
      return startController({
        ...world,
        values,
        directory: consensusChoice(values).directory,
        openBackend: openSingle,
      });
    }
    case "broker": {
      const place = { "log.dirs": "/data/log", "controller.endpoints": controllers.join(",") };
      const values = valuesOf(brokerSchema, { ...settings, ...place });
      return startBroker({ ...world, values, codecs, bootId, experiment });
    }
    case "gateway": {
      const place = { "controller.endpoints": controllers.join(",") };
      return startGateway({ ...world, values: valuesOf(gatewaySchema, { ...settings, ...place }), codecs });
    }
  }
}

/** The directory of a controller that keeps the metadata together with the others. */
const quorumDirectory = "/data/metadata";

/** A formatting that a crash ended may have been done. */
async function formatOnce(options: FormatOptions): Promise<void> {
  try {
    await formatDirectory(options);
  } catch (error) {
    if (!(error instanceof RaftOpenError) || error.code !== "FORMATTED") throw error;
  }
}

async function startRaftController(
  { id, controllers, formatting }: NodeStart,
  settings: Readonly<Record<string, string | number | boolean>>,
  world: ServiceWorld,
): Promise<RunningService> {
  const disk = world.openDisk();
  const idOf = (node: number) => directoryId(`00000000-0000-4000-8000-${String(node).padStart(12, "0")}`);
  const voters = controllers.map((endpoint, at) => ({ id: idOf(at + 1), address: `${at + 1}@${endpoint}` }));
  const directory = memberDirectory(quorumDirectory);
  const identity = { directoryId: idOf(id), clusterId: "simulated" };
  if (!formatting.isDone) await formatOnce({ disk, directory, crc32c, identity, voters });
  formatting.isDone = true;
  const values = valuesOf(controllerSchema, { ...settings, "consensus.backend": `raft://${quorumDirectory}` });
  return startController({
    ...world,
    values,
    directory: quorumDirectory,
    openBackend: openRaftBackend(values),
    formattedAs: (own) => raftDirectoryId(own, quorumDirectory),
  });
}
