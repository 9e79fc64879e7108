import { type FetchedPartition, type FetchPartition, Format } from "@tidemark/proto/log/v1";
import type { StoredRecord } from "@tidemark/record";
import { fromErrorDetail } from "@tidemark/rpc";
import type { Connection } from "../connection.ts";
import { decodeFetched } from "./decode.ts";
import { startFetchSpan } from "./fetch-span.ts";
import { bear, type PartitionState } from "./partition-state.ts";

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
}

/**
 * One fetch of some partitions from one endpoint. Moves their states on and returns what came. What one partition fails
 * with keeps nothing back of the others: it is noted there if it may pass, and else thrown by the next fetch, after the
 * reader had the rest.
 */
export interface Fetcher {
  fetch(endpoint: string, states: readonly PartitionState[], signal: AbortSignal): Promise<readonly ConsumedBatch[]>;
}

export function createFetcher(connection: Connection, options: FetcherOptions): Fetcher {
  const { topic, topicId } = options;
  const { routes, runtime } = connection;
  const fatal: Error[] = [];

  const fail = (endpoint: string, state: PartitionState, error: unknown) => {
    routes.heed({ topic, partition: state.partition }, endpoint, error);
    connection.topics.doubt(topic);
    try {
      bear(state, error, runtime, options.retryTimeoutMs);
    } catch (unbearable) {
      fatal.push(unbearable instanceof Error ? unbearable : new Error("A fetch failed", { cause: unbearable }));
    }
  };

  const take = (endpoint: string, state: PartitionState, fetched: FetchedPartition): readonly ConsumedBatch[] => {
    try {
      if (fetched.error !== undefined) throw fromErrorDetail(fetched.error, fetched.message);
      return takeRecords(state, fetched);
    } catch (error) {
      fail(endpoint, state, error);
      return [];
    }
  };

  const takeRecords = (state: PartitionState, fetched: FetchedPartition): readonly ConsumedBatch[] => {
    const { partition, highWatermark, batches } = fetched;
    const range = { from: state.offset, end: state.end };
    const { records, nextOffset, leaderEpoch } = decodeFetched(batches, range, connection.codecs);
    state.failing = undefined;
    state.offset = nextOffset;
    state.leaderEpoch = Math.max(state.leaderEpoch ?? 0, leaderEpoch ?? 0, fetched.leaderEpoch);
    return records.length === 0 ? [] : [{ partition, records, highWatermark, nextOffset }];
  };

  return {
    async fetch(endpoint, states, signal) {
      throwFirst(fatal);
      let partitions: readonly FetchedPartition[];
      const span = startFetchSpan(topic, runtime.clock);
      const { traceparent } = span;
      const askedMs = runtime.clock.monotonicMs();
      try {
        ({ partitions } = await connection.fetchAt(endpoint).fetch(
          {
            topic,
            topicId,
            partitions: states.map(toFetchPartition),
            maxBytes: options.fetchBytesMax,
            maxWaitMs: options.maxWaitMs,
            format: Format.BATCHES,
          },
          traceparent === undefined ? { signal } : { signal, traceparent },
        ));
      } catch (error) {
        signal.throwIfAborted();
        span.fail(error);
        for (const state of states) fail(endpoint, state, error);
        // Nothing came that the reader would have to have first.
        throwFirst(fatal);
        return [];
      }
      const batches = partitions.flatMap((fetched) => {
        const state = states.find((each) => each.partition === fetched.partition);
        return state === undefined ? [] : take(endpoint, state, fetched);
      });
      const bytes = partitions.reduce((sum, fetched) => sum + fetched.batches.length, 0);
      span.end(batches, bytes, runtime.clock.monotonicMs() - askedMs);
      if (batches.length === 0) throwFirst(fatal);
      return batches;
    },
  };
}

function throwFirst([error]: readonly Error[]): void {
  if (error !== undefined) throw error;
}

function toFetchPartition(state: PartitionState): Omit<FetchPartition, "$typeName" | "leaderEpoch"> & {
  leaderEpoch?: number;
} {
  return {
    partition: state.partition,
    start: { case: "offset", value: state.offset },
    ...(state.leaderEpoch === undefined ? {} : { leaderEpoch: state.leaderEpoch }),
  };
}
