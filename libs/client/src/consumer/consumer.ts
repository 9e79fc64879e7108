import { Outcome, Reason } from "@tidemark/proto/common/v1";
import type { StoredRecord } from "@tidemark/record";
import { TidemarkError } from "@tidemark/rpc";
import type { Connection } from "../connection.ts";
import { describeTopic } from "./describe-topic.ts";
import { type ConsumedBatch, createFetcher } from "./fetcher.ts";
import { highWatermarks, type OffsetsQuery, type Start, startOffsets } from "./offsets.ts";
import type { PartitionState } from "./partition-state.ts";
import { readBatches } from "./reader.ts";

export interface ConsumerOptions {
  readonly topic: string;
  /** Absent: all that there are when reading begins. */
  readonly partitions?: readonly number[];
  /** Absent: earliest. */
  readonly from?: Start;
  /** Ends at the high watermarks that are found when reading begins. Absent: goes on for ever. */
  readonly untilEnd?: boolean;
  /** Bytes of one answer; two of them are held at most for each endpoint. Absent: 3 MiB. */
  readonly fetchBytesMax?: number;
  /** How long an answer may wait for data, in milliseconds. Absent: 500. */
  readonly maxWaitMs?: number;
  /** How long errors that pass are borne without one success, in milliseconds. Absent: 2 min. */
  readonly retryTimeoutMs?: number;
}

/** A record and where it stands. */
export interface ConsumedRecord extends StoredRecord {
  readonly partition: number;
}

/** Reads the partitions of a topic at offsets that it holds itself. */
export interface Consumer {
  /**
   * Records as they come, one answer ahead of the reader. Ends when `signal` is aborted, and at the end that was asked
   * for; fails with a TidemarkError that will not pass by itself, REASON_OFFSET_OUT_OF_RANGE among them, after the
   * reader had what came before it. Each call reads from the beginning that was asked for.
   */
  batches(signal?: AbortSignal): AsyncIterable<ConsumedBatch>;
  /** The same, one by one. */
  records(signal?: AbortSignal): AsyncIterable<ConsumedRecord>;
  /** The first offsets that are not committed now, by partition. */
  highWatermarks(signal?: AbortSignal): Promise<ReadonlyMap<number, bigint>>;
  /** The offsets behind what the reader was given, by partition. Empty before reading has begun. */
  positions(): ReadonlyMap<number, bigint>;
}

const defaults = {
  from: "earliest",
  untilEnd: false,
  fetchBytesMax: 3 * 2 ** 20,
  maxWaitMs: 500,
  retryTimeoutMs: 120_000,
} as const;

export function createConsumer(connection: Connection, given: ConsumerOptions): Consumer {
  const options = { ...defaults, ...given };
  const { topic, retryTimeoutMs } = options;
  let positions = new Map<number, bigint>();

  const query = async (signal: AbortSignal | undefined): Promise<OffsetsQuery> => {
    const { topicId, partitions } = await describeTopic(connection, topic, { retryTimeoutMs, signal });
    return {
      topic,
      topicId,
      partitions: options.partitions ?? Array.from({ length: partitions }, (_, index) => index),
    };
  };

  const begin = async (asked: OffsetsQuery, signal: AbortSignal): Promise<readonly PartitionState[]> => {
    const patience = { retryTimeoutMs, signal };
    const starts = await startOffsets(connection, asked, options.from, patience);
    const ends = options.untilEnd ? await highWatermarks(connection, asked, patience) : undefined;
    if (ends !== undefined) checkStarts(topic, starts, ends);
    positions = new Map(starts);
    return asked.partitions.map((partition) => ({
      partition,
      offset: starts.get(partition) ?? 0n,
      end: ends?.get(partition),
      leaderEpoch: undefined,
      failing: undefined,
    }));
  };

  async function* batches(signal?: AbortSignal): AsyncGenerator<ConsumedBatch, void, undefined> {
    try {
      const stop = signal ?? new AbortController().signal;
      const asked = await query(stop);
      const states = await begin(asked, stop);
      const fetcher = createFetcher(connection, { ...options, topicId: asked.topicId });
      for await (const batch of readBatches(connection, topic, { fetcher, states, signal: stop })) {
        positions.set(batch.partition, batch.nextOffset);
        yield batch;
      }
    } catch (error) {
      if (!signal?.aborted) throw error;
    }
  }

  async function* records(signal?: AbortSignal): AsyncGenerator<ConsumedRecord, void, undefined> {
    for await (const { partition, records: each } of batches(signal)) {
      for (const record of each) yield { ...record, partition };
    }
  }

  return {
    batches,
    records,
    highWatermarks: async (signal) => highWatermarks(connection, await query(signal), { retryTimeoutMs, signal }),
    positions: () => new Map(positions),
  };
}

/** Reading that ends at the high watermarks asks no broker for what is behind them, and none would say that it is not there. */
function checkStarts(topic: string, starts: ReadonlyMap<number, bigint>, ends: ReadonlyMap<number, bigint>): void {
  for (const [partition, end] of ends) {
    const start = starts.get(partition) ?? 0n;
    if (start <= end) continue;
    throw new TidemarkError({
      reason: Reason.OFFSET_OUT_OF_RANGE,
      message: `Offset ${start} of ${topic}-${partition} does not exist: what can be read ends below ${end}`,
      outcome: Outcome.NOT_APPLIED,
      topic,
      partition,
      highWatermark: end,
    });
  }
}
