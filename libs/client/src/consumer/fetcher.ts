import { create } from "@bufbuild/protobuf";
import { type FetchedPartition, type FetchPartition, FetchPartitionSchema, Format } from "@tidemark/proto/log/v1";
import type { StoredRecord } from "@tidemark/record";
import { fromErrorDetail } from "@tidemark/rpc";
import type { Connection } from "../connection.ts";
import { decodeFetched } from "./decode.ts";
import { startFetchSpan } from "./fetch-span.ts";
import { bear, type PartitionState } from "./partition-state.ts";
import type { Recover } from "./recover.ts";
import { untilReplaced } from "./replaced-leader.ts";

/** Records of one partition in their order, as they came in one answer. */
export interface ConsumedBatch {
  readonly partition: number;
  readonly records: readonly StoredRecord[];
  /** First offset that was not committed when the answer was made. */
  readonly highWatermark: bigint;
  /** The offset to go on from. */
  readonly nextOffset: bigint;
}

export interface FetcherOptions {
  readonly topic: string;
  readonly topicId: string;
  readonly fetchBytesMax: number;
  readonly maxWaitMs: number;
  readonly retryTimeoutMs: number;
  /** What is done about an offset that is not there, or not any more. */
  readonly recover: Recover;
}

/**
 * One fetch of some partitions from one endpoint. Moves their states on and returns what came. What one partition fails
 * with keeps nothing back of the others: it is noted there if it may pass, and else thrown by the next fetch, after the
 * reader had the rest.
 */
export interface Fetcher {
  fetch(endpoint: string, states: readonly PartitionState[], signal: AbortSignal): Promise<readonly FetchedBatch[]>;
}

/** A batch that waits for the reader. */
export interface FetchedBatch {
  readonly state: PartitionState;
  /** Those of the state when it was fetched. */
  readonly jumps: number;
  readonly batch: ConsumedBatch;
}

/** How many times its largest size an answer may become in memory, but for one batch: seldom is more compressed better. */
const decodedShare = 16;

export function createFetcher(connection: Connection, options: FetcherOptions): Fetcher {
  const { topic, topicId } = options;
  const { routes, runtime } = connection;
  const fatal: Error[] = [];
  /** Partitions whose part of an answer was not opened any more: they come first in the next. */
  const leftOut = new Set<number>();

  const fail = (endpoint: string, state: PartitionState, error: unknown) => {
    if (options.recover(state, error)) return;
    routes.heed({ topic, partition: state.partition }, endpoint, error);
    connection.topics.doubt(topic);
    try {
      bear(state, error, runtime, options.retryTimeoutMs);
    } catch (unbearable) {
      fatal.push(unbearable instanceof Error ? unbearable : new Error("A fetch failed", { cause: unbearable }));
    }
  };

  const take = (
    endpoint: string,
    { state, jumps }: Asked,
    fetched: FetchedPartition | undefined,
    room: Room,
  ): readonly FetchedBatch[] => {
    // Asked before a jump: none of it is wanted any more.
    if (fetched === undefined || state.jumps !== jumps) return [];
    try {
      if (fetched.error !== undefined) throw fromErrorDetail(fetched.error, fetched.message);
      return takeRecords(state, fetched, room);
    } catch (error) {
      fail(endpoint, state, error);
      return [];
    }
  };

  const takeRecords = (state: PartitionState, fetched: FetchedPartition, room: Room): readonly FetchedBatch[] => {
    const { partition, highWatermark, batches } = fetched;
    if (room.leftBytes < 0 && batches.length > 0) leftOut.add(partition);
    else leftOut.delete(partition);
    const range = { from: state.offset, end: state.end, decodedBytesMax: room.leftBytes };
    const { records, decodedBytes, nextOffset, leaderEpoch } = decodeFetched(batches, range, connection.codecs);
    room.leftBytes -= decodedBytes;
    state.failing = undefined;
    state.offset = nextOffset;
    state.leaderEpoch = Math.max(state.leaderEpoch ?? 0, leaderEpoch ?? 0, fetched.leaderEpoch);
    state.lastReadLeaderEpoch = leaderEpoch ?? state.lastReadLeaderEpoch;
    if (records.length === 0) return [];
    return [{ state, jumps: state.jumps, batch: { partition, records, highWatermark, nextOffset } }];
  };

  return {
    async fetch(endpoint, states, signal) {
      throwFirst(fatal);
      let partitions: readonly FetchedPartition[];
      const asked = states.map((state): Asked => ({ state, jumps: state.jumps }));
      const span = startFetchSpan(topic, runtime.clock);
      const { traceparent } = span;
      const askedMs = runtime.clock.monotonicMs();
      try {
        const { fetchBytesMax: maxBytes, maxWaitMs } = options;
        const request = { topic, topicId, partitions: states.map(toFetchPartition), maxBytes, maxWaitMs };
        const question = { topic, partitions: states.map(({ partition }) => partition), endpoint, signal };
        ({ partitions } = await untilReplaced(connection, { ...question, waitMs: maxWaitMs }, (over) =>
          connection
            .fetchAt(endpoint)
            .fetch(
              { ...request, format: Format.BATCHES },
              traceparent === undefined ? { signal: over } : { signal: over, traceparent },
            ),
        ));
      } catch (error) {
        signal.throwIfAborted();
        span.fail(error);
        for (const { state, jumps } of asked) if (state.jumps === jumps) fail(endpoint, state, error);
        // Nothing came that the reader would have to have first.
        throwFirst(fatal);
        return [];
      }
      const room: Room = { leftBytes: decodedShare * options.fetchBytesMax };
      const isFirst = ({ state }: Asked) => Number(leftOut.has(state.partition));
      const inTurn = [...asked].sort((one, other) => isFirst(other) - isFirst(one));
      const batches = inTurn.flatMap((each) => {
        const fetched = partitions.find(({ partition }) => partition === each.state.partition);
        return take(endpoint, each, fetched, room);
      });
      const bytes = partitions.reduce((sum, fetched) => sum + fetched.batches.length, 0);
      span.end(
        batches.map(({ batch }) => batch),
        bytes,
        runtime.clock.monotonicMs() - askedMs,
      );
      if (batches.length === 0) throwFirst(fatal);
      return batches;
    },
  };
}

/** A partition that was asked for, and its count of jumps then. */
interface Asked {
  readonly state: PartitionState;
  readonly jumps: number;
}

/** What may still be opened of an answer, keys and values in bytes. Below 0: nothing. */
interface Room {
  leftBytes: number;
}

function throwFirst([error]: readonly Error[]): void {
  if (error !== undefined) throw error;
}

function toFetchPartition(state: PartitionState): FetchPartition {
  const { partition, offset, leaderEpoch, lastReadLeaderEpoch } = state;
  return create(FetchPartitionSchema, {
    partition,
    start: { case: "offset", value: offset },
    ...(leaderEpoch === undefined ? {} : { leaderEpoch }),
    ...(lastReadLeaderEpoch === undefined ? {} : { lastReadLeaderEpoch }),
  });
}
