/**
 * What a follower may say. Everything that comes over a stream is read here and nowhere else: what cannot be meant ends
 * the stream with an error that names it, before any partition hears of it.
 */
import {
  type BrokerEpoch,
  type BrokerId,
  brokerEpoch,
  brokerId,
  type LeaderEpoch,
  leaderEpoch,
  noLeaderEpoch,
  type Offset,
  offset,
  partitionIndex,
  topicId,
} from "@tidemark/ids";
import type { ReplicaId } from "@tidemark/log";
import type { PartitionFetch, PartitionFlushed, PartitionHandle } from "@tidemark/proto/replica/v1";
import type { FetchSession, ReplicaFetch, ReplicaFlushed } from "@tidemark/replication";
import type { TidemarkError } from "@tidemark/rpc";
import { invalidArgument } from "../../errors.ts";
import { type FlushedFetch, noFetches } from "../replica-exchange.ts";

/** Throws REASON_INVALID_ARGUMENT. */
export function readFollower(value: number): BrokerId {
  return readAs("follower", value, brokerId);
}

/** Throws REASON_INVALID_ARGUMENT. */
export function readPartition(wire: Pick<PartitionHandle, "topicId" | "partition">): ReplicaId {
  return {
    topicId: readAs("topic_id", wire.topicId, topicId),
    partition: readAs("partition", wire.partition, partitionIndex),
  };
}

/** Throws REASON_INVALID_ARGUMENT. */
export function readLeaderEpoch(value: number): LeaderEpoch {
  return readAs("leader_epoch", value, leaderEpoch);
}

/** Throws REASON_INVALID_ARGUMENT. */
export function readFetch(replica: BrokerId, wire: PartitionFetch): ReplicaFetch {
  const fetch = {
    replica,
    ...readEpochs(wire),
    fetchOffset: readOffset("fetch_offset", wire.fetchOffset),
    fetched: readOffset("fetched", wire.fetched),
    lastFetchedEpoch: readLastEpoch(wire),
    flushed: readOffset("flushed", wire.flushed),
  };
  if (fetch.flushed > fetch.fetched) throw flushedAboveFetched(fetch.flushed, fetch.fetched);
  if (fetch.fetchOffset < fetch.fetched) {
    throw invalidArgument(`fetch_offset is ${fetch.fetchOffset}, below fetched, which is ${fetch.fetched}`);
  }
  return fetch;
}

/** Throws REASON_INVALID_ARGUMENT. */
export function readFlushed(replica: BrokerId, wire: PartitionFlushed): ReplicaFlushed {
  const flushed = readOffset("flushed", wire.flushed);
  if (wire.fetched === undefined) return { replica, ...readEpochs(wire), flushed };
  const fetched = readOffset("fetched", wire.fetched);
  if (flushed > fetched) throw flushedAboveFetched(flushed, fetched);
  return { replica, ...readEpochs(wire), flushed, position: { fetched, lastFetchedEpoch: readLastEpoch(wire) } };
}

/** The recorded fetches that brought what is flushed. */
export function readFetches({ fetches }: PartitionFlushed): readonly FlushedFetch[] {
  if (fetches.length === 0) return noFetches;
  return fetches.map(({ traceparent, startOffset, endOffset }) => ({
    traceparent,
    startOffset: readOffset("start_offset", startOffset),
    endOffset: readOffset("end_offset", endOffset),
  }));
}

function readLastEpoch({ lastFetchedEpoch }: PartitionFetch | PartitionFlushed): LeaderEpoch {
  return lastFetchedEpoch === undefined ? noLeaderEpoch : readAs("last_fetched_epoch", lastFetchedEpoch, leaderEpoch);
}

function flushedAboveFetched(flushed: Offset, fetched: Offset): TidemarkError {
  return invalidArgument(`flushed is ${flushed}, above fetched, which is ${fetched}`);
}

function readEpochs(wire: PartitionFetch | PartitionFlushed): {
  readonly brokerEpoch: BrokerEpoch;
  readonly leaderEpoch: LeaderEpoch;
  readonly session: FetchSession;
} {
  return {
    brokerEpoch: readAs("broker_epoch", wire.brokerEpoch, brokerEpoch),
    leaderEpoch: readLeaderEpoch(wire.leaderEpoch),
    session: wire.session as FetchSession,
  };
}

function readOffset(field: string, value: bigint): Offset {
  return readAs(field, value, offset);
}

function readAs<Value, Id>(field: string, value: Value, make: (value: Value) => Id): Id {
  try {
    return make(value);
  } catch (error) {
    throw invalidArgument(`${field}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
