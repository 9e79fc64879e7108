import type { Client, ProducerOptions } from "@tidemark/client";
import { createTally, type Tally } from "../produce/tally.ts";
import { watchTopic } from "../topics/missing-topic.ts";
import { type Latencies, latenciesOf } from "./latencies.ts";

/** What a measurement goes by. */
export interface Load {
  readonly topic: string;
  readonly records: number;
  /** Bytes of a value. */
  readonly size: number;
  readonly producer: ProducerOptions;
  /** Ends it before its time. */
  readonly signal: AbortSignal;
}

/** What came of a measurement. `failed`: records that were not acknowledged. */
export interface Measured {
  readonly records: number;
  readonly failed: number;
  /** Why, a line for each kind of failure. */
  readonly failures: readonly string[];
  readonly seconds: number;
  readonly megabytesPerSecond: number;
  readonly recordsPerSecond: number;
  readonly latency: Latencies;
}

const nowMs = () => performance.now();

interface Counts {
  records: number;
  bytes: number;
  /** Of the records that were sent. */
  readonly tally: Tally;
}

const createCounts = (): Counts => ({ records: 0, bytes: 0, tally: createTally() });

function measured({ records, bytes, tally }: Counts, sinceMs: number, times: number[]) {
  const seconds = (nowMs() - sinceMs) / 1000;
  return {
    records,
    failed: tally.failed + tally.unknown,
    failures: tally.complaints(),
    seconds,
    megabytesPerSecond: bytes / 1e6 / seconds,
    recordsPerSecond: records / seconds,
    latency: latenciesOf(times),
  };
}

/** Values that differ, so that compression finds no more in them than in text. */
function valueOf(size: number, index: number): Uint8Array {
  return Buffer.alloc(size, `${index} the quick brown fox jumps over the lazy dog `);
}

/** Sends as fast as acks come in, each record made anew. The latency is from giving a record to its ack. */
export async function measureProduce(client: Client, load: Load): Promise<Measured> {
  const producer = client.createProducer(load.producer);
  const times: number[] = [];
  const counts = createCounts();
  await producer.prepare(load.topic, load.signal);
  const sinceMs = nowMs();
  for (let index = 0; index < load.records && !load.signal.aborted; index++) {
    const givenMs = nowMs();
    const hasRoom = producer.enqueue(load.topic, { value: valueOf(load.size, index) }, (outcome) => {
      times.push(nowMs() - givenMs);
      counts.records += 1;
      counts.bytes += load.size;
      counts.tally.count(outcome);
    });
    if (!hasRoom) await producer.writable(load.signal).catch(() => undefined);
  }
  await producer.close(load.signal);
  return measured(counts, sinceMs, times);
}

/** Reads what is there. The latency is of one batch, from asking for it to having it. */
export async function measureConsume(
  client: Client,
  { topic, records, signal }: Pick<Load, "topic" | "records" | "signal">,
): Promise<Measured> {
  const times: number[] = [];
  const counts = createCounts();
  const sinceMs = nowMs();
  let askedMs = sinceMs;
  const watch = watchTopic(client, topic, signal);
  for await (const batch of client.createConsumer({ topic, untilEnd: true }).batches(watch.signal)) {
    times.push(nowMs() - askedMs);
    const wanted = batch.records.slice(0, records - counts.records);
    counts.records += wanted.length;
    for (const { key, value } of wanted) counts.bytes += (key?.length ?? 0) + (value?.length ?? 0);
    if (counts.records >= records) break;
    askedMs = nowMs();
  }
  watch.throwIfMissing();
  return measured(counts, sinceMs, times);
}

/**
 * One record at a time: from giving it to having both its ack and it from a consumer that waits for it. One that is not
 * acknowledged may never come, and is not waited for.
 */
export async function measureEndToEnd(client: Client, load: Load): Promise<Measured> {
  const { topic, signal } = load;
  const producer = client.createProducer(load.producer);
  await producer.prepare(topic, signal);
  const over = new AbortController();
  const times: number[] = [];
  const counts = createCounts();
  try {
    const reader = await followEnd(client, topic, AbortSignal.any([signal, over.signal]));
    const sinceMs = nowMs();
    for (let index = 0; index < load.records && !signal.aborted; index++) {
      const givenMs = nowMs();
      const outcome = await producer.send(topic, { value: valueOf(load.size, index) }, { signal });
      if (outcome.kind === "acknowledged") await reader.readTo(outcome);
      times.push(nowMs() - givenMs);
      counts.records += 1;
      counts.bytes += load.size;
      counts.tally.count(outcome);
    }
    return measured(counts, sinceMs, times);
  } finally {
    over.abort();
    await producer.close(signal);
  }
}

/** Resolves when a consumer stands at the end of every partition. `readTo` passes over what others store meanwhile. */
async function followEnd(client: Client, topic: string, signal: AbortSignal) {
  const consumer = client.createConsumer({ topic, from: "latest" });
  const records = consumer.records(signal)[Symbol.asyncIterator]();
  const ask = () => {
    const next = records.next();
    // Its failure is told to whoever waits for it.
    next.catch(() => undefined);
    return next;
  };
  let next = ask();
  while (consumer.positions().size === 0 && !signal.aborted) {
    await Promise.race([next, new Promise((resolve) => setTimeout(resolve, 10))]);
  }
  return {
    async readTo(place: { readonly partition: number; readonly offset: bigint | undefined }): Promise<void> {
      for (;;) {
        const read = await next;
        if (read.done === true) return;
        next = ask();
        const { partition, offset } = read.value;
        if (partition === place.partition && (place.offset === undefined || offset >= place.offset)) return;
      }
    },
  };
}

/** What a cluster's failing over looked like from a producer. */
export interface FailoverMeasured extends Omit<Measured, "megabytesPerSecond" | "recordsPerSecond"> {
  /** The longest times without an ack, the longest first, in milliseconds. */
  readonly pausesMs: readonly number[];
}

/** One record at a time for so long, while somebody takes brokers away: how long no record was acknowledged. */
export async function measureFailover(
  client: Client,
  load: Omit<Load, "records"> & { readonly durationMs: number; readonly pauses: number },
): Promise<FailoverMeasured> {
  const { topic, signal } = load;
  const producer = client.createProducer(load.producer);
  const times: number[] = [];
  const pauses: number[] = [];
  const counts = createCounts();
  await producer.prepare(topic, signal);
  const sinceMs = nowMs();
  let ackedMs = sinceMs;
  while (nowMs() - sinceMs < load.durationMs && !signal.aborted) {
    const givenMs = nowMs();
    const outcome = await producer.send(topic, { value: valueOf(load.size, counts.records), partition: 0 }, { signal });
    counts.records += 1;
    times.push(nowMs() - givenMs);
    counts.tally.count(outcome);
    if (outcome.kind === "acknowledged") {
      pauses.push(nowMs() - ackedMs);
      ackedMs = nowMs();
    }
  }
  // Since the last ack there was none either: a cluster that never came back has its pause here.
  pauses.push(nowMs() - ackedMs);
  await producer.close(signal);
  const { records, failed, failures, seconds, latency } = measured(counts, sinceMs, times);
  return { records, failed, failures, seconds, latency, pausesMs: pauses.sort((a, b) => b - a).slice(0, load.pauses) };
}
