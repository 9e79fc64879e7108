import { type BrokerExperiment, startBroker } from "@tidemark/broker";
import { crc32c } from "@tidemark/compression";
import { brokerSchema, consensusChoice, controllerSchema, gatewaySchema } from "@tidemark/config";
import { openSingleStore } from "@tidemark/consensus";
import {
  type ControllerExperiment,
  type EtcdReach,
  type OpenBackend,
  openEtcdBackend,
  openRaftBackend,
  type RaftExperiment,
  raftDirectoryId,
  startController,
} from "@tidemark/controller";
import { startGateway } from "@tidemark/gateway";
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

/** What a service's node is started with besides its world. */
export interface NodeStart extends NodeIdentity {
  readonly role: Role;
  /** How a controller reaches etcd, and other controllers past gRPC. */
  readonly etcd: EtcdReach;
  /** Tells one boot of its machine from another. */
  readonly bootId: string;
  /** What is asked of a broker that no program asks. */
  readonly experiment: BrokerExperiment;
  /** The same of a controller. */
  readonly controllerExperiment: ControllerExperiment;
  /** What is asked of a controller's part of its quorum that no program asks. */
  readonly quorumExperiment: RaftExperiment;
}

/** Where a controller keeps what is its own. */
export const metadataDirectory = "/data/metadata";

/** Where a broker keeps its partitions. */
export function logDirectories(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `/data/log-${index + 1}`);
}

/** What stays the same from one start of a node to the next. */
export interface NodeIdentity {
  readonly role: Role | "etcd";
  /** `node.id`. */
  readonly id: number;
  /** Of the machine that it runs on. */
  readonly hostName: string;
  /** Internal endpoints of the controllers. */
  readonly controllers: readonly string[];
  /** `consensus.backend` of the controllers. */
  readonly backend: string;
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
  const { role, id, hostName, controllers, backend, codecs, bootId, experiment, controllerExperiment } = start;
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
      const place = { "consensus.backend": backend, "metadata.log.dir": metadataDirectory };
      const values = valuesOf(controllerSchema, { ...settings, ...place });
      const choice = consensusChoice(values);
      const common = {
        ...world,
        values,
        directory: metadataDirectory,
        backendName: choice.kind,
        experiment: controllerExperiment,
      };
      switch (choice.kind) {
        case "single":
          return startController({ ...common, openBackend: openSingle });
        case "etcd":
          return startController({ ...common, openBackend: openEtcdBackend(values, choice, start.etcd) });
        case "raft":
          return startController({
            ...common,
            openBackend: openRaftBackend(values, start.quorumExperiment),
            formattedAs: (disk) => raftDirectoryId(disk, metadataDirectory),
          });
      }
    }
    case "broker": {
      const place = { "log.dirs": logDirectories(1).join(","), "controller.endpoints": controllers.join(",") };
      const values = valuesOf(brokerSchema, { ...place, ...settings });
      return startBroker({ ...world, values, codecs, bootId, experiment });
    }
    case "gateway": {
      const place = { "controller.endpoints": controllers.join(",") };
      return startGateway({ ...world, values: valuesOf(gatewaySchema, { ...settings, ...place }), codecs });
    }
  }
}
