import {
  type CandidateIdentity,
  type Consensus,
  createCandidate,
  type EventSink,
  type Member,
  type StoreLink,
} from "@tidemark/consensus";
import type { Disk } from "@tidemark/disk";
import type { DirectoryId } from "@tidemark/ids";
import { type Limits, StartError } from "@tidemark/raft";
import type { Crc32c } from "@tidemark/record";
import type { Runtime } from "@tidemark/runtime";
import type { NodeEventSink } from "./node/events.ts";
import type { NodeExperiment } from "./node/experiment.ts";
import { createNodeLink } from "./node/link.ts";
import { changeMembers, describeMembers } from "./node/members.ts";
import { type RaftNode, startNode } from "./node/node.ts";
import { type Quorum, quorumOf } from "./node/quorum.ts";
import type { SnapshotPolicy } from "./node/snapshots.ts";
import type { NodeTiming } from "./node/timing.ts";
import type { Transport } from "./node/transport.ts";
import { RaftOpenError } from "./storage/errors.ts";
import { writeIdentity } from "./storage/identity.ts";
import { openStorage } from "./storage/open-storage.ts";

export interface RaftStoreOptions {
  readonly disk: Disk;
  /** Absolute, and the node's alone. */
  readonly directory: string;
  /** What the directory is known as: the node's id. */
  readonly directoryId: DirectoryId;
  /** The cluster that the directory has to belong to. Undefined: whichever it belongs to. */
  readonly clusterId: string | undefined;
  readonly transport: Transport;
  readonly crc32c: Crc32c;
  readonly runtime: Runtime;
  /** Default 500 ms, and a heartbeat each 100 ms. */
  readonly timing?: NodeTiming;
  readonly limits?: Partial<Limits>;
  readonly snapshots?: SnapshotPolicy;
  /** Bytes after which the log goes on in another file. Default 8 MiB. */
  readonly segmentBytes?: number;
  readonly experiment?: NodeExperiment | undefined;
  /** Of candidates. Defaults to nobody who listens. */
  readonly onEvent?: EventSink;
  /** Of the node. Defaults to nobody who listens. */
  readonly onNodeEvent?: NodeEventSink;
  /** The directory could not be noted to belong to a cluster. */
  readonly onFatal?: (error: Error) => void;
}

/** A node that runs, for one candidate at a time. */
export interface RaftStore {
  readonly node: RaftNode;
  /** The cluster that the directory belonged to when it was opened. Undefined: none yet. */
  readonly clusterId: string | undefined;
  quorum(): Quorum;
  /** A handle, not joined yet. `wrap` puts something between it and the node. */
  candidate(wrap?: (link: StoreLink) => StoreLink): Consensus;
  /** Stops the node. Its candidate is to be closed before. A second call waits too. */
  close(): Promise<void>;
}

/** Opens a node's directory and starts the node. Throws RaftOpenError, with nothing left open. */
export async function openRaftStore(options: RaftStoreOptions): Promise<RaftStore> {
  const { disk, directory, runtime, onEvent = ignore, onNodeEvent = ignore, onFatal = rethrow } = options;
  const opened = await openStorage(options);
  const joinCluster = (clusterId: string) => {
    const identity = { directoryId: opened.identity.directoryId, clusterId };
    writeIdentity(disk, directory, identity).catch((error: unknown) => {
      onFatal(error instanceof Error ? error : new Error("The cluster could not be noted", { cause: error }));
    });
  };
  const condemn = (why: string) => writeIdentity(disk, directory, { ...opened.identity, damage: why });
  let node: RaftNode;
  try {
    node = startNode({ ...options, opened, onEvent: onNodeEvent, joinCluster, condemn });
  } catch (error) {
    await opened.storage.close();
    if (!(error instanceof StartError)) throw error;
    const message = `${error.message}: replace this member by one with an empty directory`;
    throw new RaftOpenError("DAMAGED", directory, message, { cause: error });
  }
  return {
    node,
    clusterId: opened.identity.clusterId,
    quorum: () => quorumOf(node),
    candidate(wrap = (link) => link) {
      const { link, right } = createNodeLink(node);
      const members = {
        describe: (living: readonly CandidateIdentity[]): readonly Member[] =>
          describeMembers(node.raft.status().membership, living),
        change: (change: Parameters<Consensus["changeMembers"]>[0], signal: AbortSignal) =>
          changeMembers(node, change, signal),
      };
      return createCandidate({ link: wrap(link), right, members, runtime, onEvent });
    },
    close: () => node.close(),
  };
}

function ignore(): void {}

function rethrow(error: Error): void {
  throw error;
}
