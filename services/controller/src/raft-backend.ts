/** The controllers' own quorum, as whoever composes a controller opens it. */
import { crc32c } from "@tidemark/compression";
import {
  createGrpcTransport,
  createRaftReporter,
  memberDirectory,
  type NodeExperiment,
  openRaftStore,
  RaftOpenError,
  type RaftStoreOptions,
  readIdentity,
} from "@tidemark/consensus-raft";
import type { Disk } from "@tidemark/disk";
import type { DirectoryId } from "@tidemark/ids";
import { StartRefusedError } from "@tidemark/service";
import type { OpenBackend } from "./backend.ts";
import type { ControllerValues } from "./settings-from-config.ts";

/** The id that the controller's directory was formatted with. Undefined: it was not. */
export async function raftDirectoryId(disk: Disk, directory: string): Promise<DirectoryId | undefined> {
  return refusing(async () => (await readIdentity(disk, memberDirectory(directory)))?.directoryId);
}

/** What a simulation asks of the controllers' quorum, and no setting can. */
export type RaftExperiment = NodeExperiment & Pick<RaftStoreOptions, "snapshots" | "segmentBytes">;

export function openRaftBackend(values: ControllerValues, experiment: RaftExperiment = {}): OpenBackend {
  const { snapshots, segmentBytes } = experiment;
  return async ({
    disk,
    directory,
    directoryId,
    runtime,
    telemetry,
    traces,
    transport: rpc,
    tls,
    endpoint,
    onFatal,
  }) => {
    const address = () => `${values["node.id"]}@${endpoint() ?? ""}`;
    const transport = createGrpcTransport({
      id: directoryId,
      address,
      runtime,
      rpc,
      channels: tls === undefined ? {} : { tls },
    });
    const store = await refusing(() =>
      openRaftStore({
        disk,
        directory: memberDirectory(directory),
        directoryId,
        clusterId: values["cluster.id"],
        transport,
        crc32c,
        runtime,
        timing: {
          electionTimeoutMs: values["consensus.raft.election.timeout.ms"],
          heartbeatMs: values["consensus.raft.heartbeat.ms"],
        },
        experiment,
        ...(snapshots === undefined ? {} : { snapshots }),
        ...(segmentBytes === undefined ? {} : { segmentBytes }),
        onNodeEvent: createRaftReporter({
          telemetry,
          clock: runtime.clock,
          id: directoryId,
          address,
          parent: () => traces.commit.parent,
          underWay: traces.underWay,
          onWon: (campaign) => traces.campaigns.won(campaign),
        }),
        onFatal,
      }),
    );
    const { clusterId } = store;
    return {
      name: "raft",
      consensus: store.candidate(),
      services: [transport.service],
      ...(clusterId === undefined ? {} : { clusterId }),
      quorum: () => store.quorum(),
      preferNext: (directory) => store.node.preferHeir(directory),
      close: () => store.close(),
    };
  };
}

async function refusing<Value>(open: () => Promise<Value>): Promise<Value> {
  try {
    return await open();
  } catch (error) {
    if (error instanceof RaftOpenError) throw new StartRefusedError(error.message, { cause: error });
    throw error;
  }
}
