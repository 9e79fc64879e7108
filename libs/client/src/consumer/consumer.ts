import { Outcome, Reason } from "@tidemark/proto/common/v1";
import type { StoredRecord } from "@tidemark/record";
import { invalidArgument, type Place, TidemarkError } from "@tidemark/rpc";
import type { Connection } from "../connection.ts";
import { checkChoice, checkNumber, checkUint32, optionsGiven } from "../options.ts";
import { describeTopic } from "./describe-topic.ts";
import { type ConsumedBatch, createFetcher } from "./fetcher.ts";
import { highWatermarks, type OffsetsQuery, type Start, startOffsets } from "./offsets.ts";
import { jump, type PartitionState } from "./partition-state.ts";
import { readBatches } from "./reader.ts";
import { type ConsumerEvent, createRecover, type OffsetReset } from "./recover.ts";

export interface ConsumerOptions {
  readonly topic: string;
  /** Absent: all that there are when reading begins. */
  readonly partitions?: readonly number[];
  /** Where reading begins. Absent: earliest. */
  readonly from?: Start;
  /** Offsets to begin at, by partition, where they differ from `from`. */
  readonly offsets?: ReadonlyMap<number, bigint>;
  /**
   * What is done where the offset to read is not in the log, or what was read was cut from it by an unclean election:
   * Kafka's `auto.offset.reset`. `fail`, as when absent: reading ends with the error. Otherwise it goes on: after a cut
   * from where the logs part, else at the first offset (`earliest`) or at what comes (`latest`).
   */
  readonly offsetReset?: OffsetReset;
  /** Told of each such thing when it is met. Must not throw. */
  readonly onEvent?: (event: ConsumerEvent) => void;
  /** Ends at the high watermarks that are found when reading begins. Absent: goes on for ever. */
  readonly untilEnd?: boolean;
  /**
   * Bytes of one answer; two of them are held at most for each endpoint. Absent: 3 MiB. Of what is compressed 16 times as
   * many are held, and one batch.
   */
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
  /** Hands out nothing of these partitions and fetches none of them, until `resume`. One answer of each may wait. */
  pause(partitions: readonly number[]): void;
  resume(partitions: readonly number[]): void;
  /**
   * Goes on elsewhere in a partition: what was fetched ahead of it is thrown away. Before reading has begun, and between
   * two readings, it is where the partition begins. Rejects with a TidemarkError where the place cannot be found, and where
   * the consumer does not read the partition.
   */
  seek(partition: number, to: Start, signal?: AbortSignal): Promise<void>;
}

const defaults = {
  from: "earliest",
  offsetReset: "fail",
  untilEnd: false,
  fetchBytesMax: 3 * 2 ** 20,
  maxWaitMs: 500,
  retryTimeoutMs: 120_000,
} as const;

/** Throws REASON_INVALID_ARGUMENT for an option that is none: a broker would find it only when reading has begun. */
export function createConsumer(connection: Connection, given: ConsumerOptions): Consumer {
  const options = { ...defaults, ...optionsGiven(given) };
  const { topic, retryTimeoutMs } = options;
  checkOptions(options);
  let positions = new Map<number, bigint>();
  /** Of the reading that began last. Empty before the first, and behind its end. */
  let reading: readonly PartitionState[] = [];
  /** What it reads. Undefined then. */
  let begun: OffsetsQuery | undefined;
  const sought = new Map<number, bigint>(options.offsets);
  const paused = new Set<number>();
  const watchers = new Set<() => void>();
  const tellWatchers = () => {
    for (const watcher of [...watchers]) watcher();
  };
  const recover = createRecover(options.offsetReset, (event) => options.onEvent?.(event));

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
    const unnamed = asked.partitions.filter((partition) => !sought.has(partition));
    const found = await startOffsets(connection, { ...asked, partitions: unnamed }, options.from, patience);
    const ends = options.untilEnd ? await highWatermarks(connection, asked, patience) : undefined;
    // A seek may have come while something was asked.
    const starts = new Map([...found, ...sought]);
    if (ends !== undefined) checkStarts(topic, starts, ends);
    positions = new Map(asked.partitions.map((partition) => [partition, starts.get(partition) ?? 0n]));
    reading = asked.partitions.map((partition) => ({
      partition,
      offset: starts.get(partition) ?? 0n,
      given: starts.get(partition) ?? 0n,
      end: ends?.get(partition),
      leaderEpoch: undefined,
      lastReadLeaderEpoch: undefined,
      jumps: 0,
      failing: undefined,
    }));
    return reading;
  };

  async function* batches(signal?: AbortSignal): AsyncGenerator<ConsumedBatch, void, undefined> {
    let asked: OffsetsQuery | undefined;
    try {
      const stop = signal ?? new AbortController().signal;
      asked = await query(stop);
      begun = asked;
      const states = await begin(asked, stop);
      const fetcher = createFetcher(connection, { ...options, topicId: asked.topicId, recover });
      const isPaused = (partition: number) => paused.has(partition);
      const onChange = (wake: () => void) => {
        watchers.add(wake);
        return () => watchers.delete(wake);
      };
      for await (const batch of readBatches(connection, topic, { fetcher, states, signal: stop, isPaused, onChange })) {
        positions.set(batch.partition, batch.nextOffset);
        yield batch;
      }
    } catch (error) {
      if (!signal?.aborted) throw error;
    } finally {
      // A seek from here on is one for the next reading, unless another one began meanwhile.
      if (begun === asked) {
        begun = undefined;
        reading = [];
      }
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
    pause(partitions) {
      for (const partition of partitions) paused.add(partition);
    },
    resume(partitions) {
      for (const partition of partitions) paused.delete(partition);
      tellWatchers();
    },
    async seek(partition, to, signal) {
      const all = begun ?? (await query(signal));
      if (!all.partitions.includes(partition)) throw notRead({ topic, partition }, all.partitions);
      checkStart({ topic, partition }, to);
      const asked = { ...all, partitions: [partition] };
      const offset = (await startOffsets(connection, asked, to, { retryTimeoutMs, signal })).get(partition) ?? 0n;
      const state = reading.find((each) => each.partition === partition);
      if (state === undefined) sought.set(partition, offset);
      else {
        jump(state, offset);
        positions.set(partition, offset);
        tellWatchers();
      }
    },
  };
}

function checkOptions(options: ConsumerOptions): void {
  const { topic, offsets = new Map<number, bigint>(), partitions = [] } = options;
  checkName(topic);
  checkChoice("offsetReset", options.offsetReset, ["earliest", "latest", "fail"]);
  checkUint32("fetchBytesMax", options.fetchBytesMax, 1);
  checkUint32("maxWaitMs", options.maxWaitMs, 0);
  checkNumber("retryTimeoutMs", options.retryTimeoutMs, 0);
  for (const partition of partitions) {
    if (Number.isInteger(partition) && partition >= 0 && partition < 2 ** 31) continue;
    throw invalidArgument(`${partition} is no partition: name those from 0 on`);
  }
  for (const [partition, offset] of offsets) checkOffset({ topic, partition }, offset);
  checkStart({ topic, partition: 0 }, options.from);
}

/** Whoever calls from JavaScript may give anything. */
function checkName(topic: unknown): void {
  if (typeof topic !== "string") throw invalidArgument(`topic is ${String(topic)}: give the name of a topic`);
}

function checkStart(place: Place, from: unknown): void {
  if (from === "earliest" || from === "latest") return;
  if (typeof from === "object" && from !== null) {
    if ("offset" in from) {
      checkOffset(place, from.offset);
      return;
    }
    if ("timestampMs" in from && Number.isSafeInteger(from.timestampMs)) return;
  }
  throw invalidArgument(
    `${shownStart(from)} is no place to begin at: give "earliest", "latest", { offset } or { timestampMs } in whole milliseconds`,
  );
}

function shownStart(from: unknown): string {
  if (typeof from !== "object" || from === null) return String(from);
  return "timestampMs" in from ? `{ timestampMs: ${String(from.timestampMs)} }` : "That";
}

/** A wrong one would be found by the broker, when reading has begun. */
function checkOffset({ topic, partition }: Place, offset: unknown): void {
  if (typeof offset === "bigint" && offset >= 0n && offset < 2n ** 63n) return;
  throw invalidArgument(
    `${String(offset)} is no offset for ${topic}-${partition}: give a bigint from 0 on, such as 7n`,
  );
}

function notRead({ topic, partition }: Place, partitions: readonly number[]): TidemarkError {
  const some = partitions.slice(0, 20).join(", ") + (partitions.length > 20 ? ", ..." : "");
  return invalidArgument(`This consumer does not read ${topic}-${partition}, but the partitions ${some}`);
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
