/** Short ways to write the values that tests are made of. */
import {
  type BrokerEpoch,
  type BrokerId,
  brokerEpoch,
  brokerId,
  type ControllerEpoch,
  controllerEpoch,
  type LeaderEpoch,
  leaderEpoch,
  noLeaderEpoch,
  type Offset,
  offset,
  partitionEpoch,
} from "@tidemark/ids";
import type { PartitionContext } from "../context.ts";
import { allGuards } from "../guards.ts";
import type { EpochStart } from "../leader-epochs.ts";
import { createOutput, type RequestId } from "../outputs.ts";
import { createFetchSessions, createPartition, type Partition } from "../partition.ts";
import type { PartitionState } from "../partition-state.ts";
import { createProducerTable } from "../producers/producer-table.ts";
import { createReplicaLog, type LogSnapshot } from "../replica-log.ts";
import type { FetchSession, ReplicaFetch } from "../replica-messages.ts";
import { createProgress, type ReplicaProgress } from "../replica-progress.ts";
import { defaultSettings } from "../settings.ts";

export const at = (value: number): Offset => offset(BigInt(value));
export const broker = (id: number): BrokerId => brokerId(id);
export const brokers = (...ids: number[]): readonly BrokerId[] => ids.map(broker);
export const epoch = (value: number): LeaderEpoch => (value < 0 ? noLeaderEpoch : leaderEpoch(value));
export const incarnation = (value: number): BrokerEpoch => brokerEpoch(value);
export const controller = (value: number): ControllerEpoch => controllerEpoch(value);
export const session = (value: number): FetchSession => value as FetchSession;
export const request = (value: number): RequestId => value as RequestId;

/** `[leader epoch, start offset]`, oldest first. */
export const epochs = (...starts: readonly (readonly [number, number])[]): readonly EpochStart[] =>
  starts.map(([of, start]) => ({ leaderEpoch: epoch(of), startOffset: at(start) }));

/** A log that ends at `end`; all of it flushed unless said otherwise. */
export function log(
  end: number,
  leaderEpochs: readonly EpochStart[] = [],
  more: { readonly start?: number; readonly flushed?: number } = {},
): LogSnapshot {
  return { startOffset: at(more.start ?? 0), endOffset: at(end), flushedOffset: at(more.flushed ?? end), leaderEpochs };
}

/** Broker 1 leads (1, 2, 3) in leader epoch 4, all in sync, min ISR 2, unless said otherwise. */
export function state(change: Partial<PartitionState> = {}): PartitionState {
  return {
    replicas: brokers(1, 2, 3),
    isr: brokers(1, 2, 3),
    elr: [],
    minIsr: 2,
    leader: broker(1),
    leaderEpoch: epoch(4),
    partitionEpoch: partitionEpoch(1),
    recovering: false,
    ...change,
  };
}

export function progressOf(id: number, change: Partial<ReplicaProgress> = {}): ReplicaProgress {
  return Object.assign(createProgress(broker(id)), change);
}

export function context(self: number, snapshot: LogSnapshot = log(0)): PartitionContext {
  return {
    self: broker(self),
    guards: allGuards,
    log: createReplicaLog(snapshot),
    producers: createProducerTable(),
    progress: new Map(),
    brokerEpoch: incarnation(1),
    settings: defaultSettings,
    highWatermark: at(0),
    controllerEpoch: undefined,
    out: createOutput(),
  };
}

/** A partition on broker `self` that has seen no metadata. */
export function partition(self: number, snapshot: LogSnapshot = log(0), highWatermark = 0): Partition {
  return createPartition({
    self: broker(self),
    brokerEpoch: incarnation(1),
    log: snapshot,
    highWatermark: at(highWatermark),
    settings: defaultSettings,
    sessions: createFetchSessions(),
  });
}

export function metadata(committed: PartitionState, nowMs = 0) {
  return { kind: "metadata", state: committed, controllerEpoch: controller(1), nowMs } as const;
}

export function produce(
  id: number,
  change: { acks?: "none" | "leader" | "all"; records?: number; seen?: number } = {},
) {
  return {
    kind: "produce",
    requestId: request(id),
    acks: change.acks ?? "all",
    recordCount: change.records ?? 1,
    seenLeaderEpoch: change.seen === undefined ? undefined : epoch(change.seen),
    deadlineMs: 30_000,
    nowMs: 0,
  } as const;
}

/** A fetch of broker `replica` that has fetched and flushed up to `has`, with last leader epoch 4. */
export function fetchOf(replica: number, has: number, change: Partial<ReplicaFetch> = {}, nowMs = 0) {
  const fetch: ReplicaFetch = {
    replica: broker(replica),
    brokerEpoch: incarnation(1),
    leaderEpoch: epoch(4),
    session: session(1),
    fetchOffset: at(has),
    fetched: at(has),
    lastFetchedEpoch: epoch(has === 0 ? -1 : 4),
    flushed: at(has),
    ...change,
  };
  return { kind: "replicaFetch", requestId: request(1000 + replica), fetch, deadlineMs: nowMs + 500, nowMs } as const;
}

/** The end of a flush at the log's first generation. */
export function flushed(upTo: number, nowMs = 0) {
  return { kind: "flushed", offset: at(upTo), generation: 0 as never, nowMs } as const;
}
