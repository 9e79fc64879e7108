import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Reason } from "@tidemark/proto/common/v1";
import { type FetchedPartition, type FetchPartition, Format, Position } from "@tidemark/proto/log/v1";
import type { StoredRecord } from "@tidemark/record";
import { fromErrorDetail, TidemarkError } from "@tidemark/rpc";
import { delay } from "@tidemark/runtime";
import { backoffMs } from "../backoff.ts";
import type { Connection } from "../connection.ts";
import { decodeFetched } from "./decode.ts";

/** Where to begin: a named place, an offset, or the first record of a time or later (milliseconds since 1970). */
export type Start = "earliest" | "latest" | { readonly offset: bigint } | { readonly timestampMs: number };

export interface ConsumerOptions {
  readonly topic: string;
  /** Absent: all that there are when the consumer begins. */
  readonly partitions?: readonly number[];
  /** Absent: earliest. */
  readonly from?: Start;
  /** Bytes of one answer. Absent: 1 MiB. */
  readonly fetchBytesMax?: number;
  /** How long an answer may wait for data, in milliseconds. Absent: 500. */
  readonly maxWaitMs?: number;
  /** How long errors that pass are borne without one success, in milliseconds. Absent: 2 min. */
  readonly retryTimeoutMs?: number;
}

/** Records of one partition in their order, as they came in one answer. */
export interface ConsumedBatch {
  readonly partition: number;
  readonly records: readonly StoredRecord[];
  /** First offset that was not committed when the answer was made. */
  readonly highWatermark: bigint;
  /** The offset to go on from. */
  readonly nextOffset: bigint;
}

/** Reads the partitions of a topic at offsets that it holds itself. */
export interface Consumer {
  /**
   * Records as they come, one answer ahead of the reader. Ends when `signal` is aborted; fails with a TidemarkError that
   * will not pass by itself, REASON_OFFSET_OUT_OF_RANGE among them.
   */
  batches(signal?: AbortSignal): AsyncIterable<ConsumedBatch>;
  /** The high watermarks now, by partition. */
  highWatermarks(): Promise<ReadonlyMap<number, bigint>>;
  /** The offsets that come next, by partition. Known once reading has begun. */
  positions(): ReadonlyMap<number, bigint>;
}

interface PartitionState {
  readonly partition: number;
  offset: bigint;
  leaderEpoch: number | undefined;
}

const defaults = { fetchBytesMax: 2 ** 20, maxWaitMs: 500, retryTimeoutMs: 120_000 } as const;

export function createConsumer(connection: Connection, given: ConsumerOptions): Consumer {
  const options = { ...defaults, ...given };
  const { topic } = options;
  const { clock, random, scheduler } = connection.runtime;
  let states: PartitionState[] = [];

  const partitionsToRead = async (): Promise<readonly number[]> =>
    options.partitions ?? Array.from({ length: await connection.topics.partitions(topic) }, (_, index) => index);

  const listOffsets = async (target: Target): Promise<ReadonlyMap<number, bigint>> => {
    const partitions = [...(await partitionsToRead())];
    const { offsets } = await connection.fetch.listOffsets({ topic, partitions, target });
    const found = new Map<number, bigint>();
    for (const listed of offsets) {
      if (listed.error !== undefined) throw fromErrorDetail(listed.error, listed.message);
      if (listed.offset !== undefined) found.set(listed.partition, listed.offset);
    }
    return found;
  };

  const highWatermarks = () => listOffsets({ case: "position", value: Position.LATEST });

  const begin = async (): Promise<void> => {
    const from = options.from ?? "earliest";
    if (typeof from === "object" && "offset" in from) {
      const { offset } = from;
      states = (await partitionsToRead()).map((partition) => ({ partition, offset, leaderEpoch: undefined }));
      return;
    }
    const offsets = await listOffsets(targetOf(from));
    // A time that no record is as late as means: whatever comes.
    const ends = offsets.size < (await partitionsToRead()).length ? await highWatermarks() : offsets;
    states = (await partitionsToRead()).map((partition) => ({
      partition,
      offset: offsets.get(partition) ?? ends.get(partition) ?? 0n,
      leaderEpoch: undefined,
    }));
  };

  const fetchOnce = async (signal: AbortSignal | undefined): Promise<readonly ConsumedBatch[]> => {
    const { partitions } = await connection.fetch.fetch(
      {
        topic,
        partitions: states.map(toFetchPartition),
        maxBytes: options.fetchBytesMax,
        maxWaitMs: options.maxWaitMs,
        format: Format.BATCHES,
      },
      signal === undefined ? {} : { signal },
    );
    rotate(states);
    return partitions.flatMap((fetched) => take(fetched));
  };

  const take = (fetched: FetchedPartition): ConsumedBatch[] => {
    if (fetched.error !== undefined) throw fromErrorDetail(fetched.error, fetched.message);
    const state = states.find((each) => each.partition === fetched.partition);
    if (state === undefined || fetched.batches.length === 0) return [];
    const { records, nextOffset, leaderEpoch } = decodeFetched(fetched.batches, state.offset, connection.codecs);
    state.offset = nextOffset;
    state.leaderEpoch = Math.max(leaderEpoch ?? 0, fetched.leaderEpoch);
    const { partition, highWatermark } = fetched;
    return records.length === 0 ? [] : [{ partition, records, highWatermark, nextOffset }];
  };

  /** Bears what passes: a leader that changes, a gateway that restarts. */
  const persist = async <Value>(attempt: () => Promise<Value>, signal: AbortSignal | undefined): Promise<Value> => {
    const since = clock.monotonicMs();
    for (let failures = 1; ; failures++) {
      try {
        return await attempt();
      } catch (error) {
        const passes = error instanceof TidemarkError && (error.retriable || error.reason === Reason.UNAVAILABLE);
        if (!passes || signal?.aborted || clock.monotonicMs() - since > options.retryTimeoutMs) throw error;
        if (error.reason === Reason.UNKNOWN_PARTITION || error.reason === Reason.UNKNOWN_TOPIC) throw error;
        await delay(scheduler, backoffMs(failures, random), signal);
      }
    }
  };

  return {
    highWatermarks: () => persist(highWatermarks, undefined),
    positions: () => new Map(states.map((state) => [state.partition, state.offset])),
    async *batches(signal) {
      try {
        await persist(begin, signal);
        let ahead = persist(() => fetchOnce(signal), signal);
        for (;;) {
          const batches = await ahead;
          ahead = persist(() => fetchOnce(signal), signal);
          // Its failure is met when it is awaited, which a reader that leaves never does.
          ahead.catch(() => undefined);
          yield* batches;
        }
      } catch (error) {
        if (signal?.aborted) return;
        throw error;
      }
    },
  };
}

type Target =
  | { readonly case: "position"; readonly value: Position }
  | { readonly case: "timestamp"; readonly value: ReturnType<typeof timestampFromMs> };

function targetOf(from: "earliest" | "latest" | { readonly timestampMs: number }): Target {
  if (from === "earliest") return { case: "position", value: Position.EARLIEST };
  if (from === "latest") return { case: "position", value: Position.LATEST };
  return { case: "timestamp", value: timestampFromMs(from.timestampMs) };
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

/** The partition that was asked for first is asked for last next time, so that a full answer starves nobody. */
function rotate(states: PartitionState[]): void {
  const first = states.shift();
  if (first !== undefined) states.push(first);
}
