import type { Client, ProducerOptions } from "@tidemark/client";
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
  readonly seconds: number;
  readonly megabytesPerSecond: number;
  readonly recordsPerSecond: number;
  readonly latency: Latencies;
}

const nowMs = () => performance.now();

function measured(counts: { records: number; failed: number; bytes: number }, sinceMs: number, times: number[]) {
  const { records, failed, bytes } = counts;
  const seconds = (nowMs() - sinceMs) / 1000;
  return {
    records,
    failed,
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
  const counts = { records: 0, failed: 0, bytes: 0 };
  await producer.prepare(load.topic, load.signal);
  const sinceMs = nowMs();
  for (let index = 0; index < load.records && !load.signal.aborted; index++) {
    const givenMs = nowMs();
    const hasRoom = producer.enqueue(load.topic, { value: valueOf(load.size, index) }, ({ kind }) => {
      times.push(nowMs() - givenMs);
      counts.records += 1;
      counts.bytes += load.size;
      if (kind !== "acknowledged") counts.failed += 1;
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
  const counts = { records: 0, failed: 0, bytes: 0 };
  const sinceMs = nowMs();
  let askedMs = sinceMs;
  for await (const batch of client.createConsumer({ topic, untilEnd: true }).batches(signal)) {
    times.push(nowMs() - askedMs);
    counts.records += batch.records.length;
    for (const { key, value } of batch.records) counts.bytes += (key?.length ?? 0) + (value?.length ?? 0);
    if (counts.records >= records) break;
    askedMs = nowMs();
  }
  return measured(counts, sinceMs, times);
}

/** One record at a time: from giving it to reading it back by a consumer that waits for it. */
export async function measureEndToEnd(client: Client, load: Load): Promise<Measured> {
  const { topic, signal } = load;
  const producer = client.createProducer(load.producer);
  const over = new AbortController();
  const consumer = client.createConsumer({ topic, from: "latest" });
  const reading = consumer.records(AbortSignal.any([signal, over.signal]))[Symbol.asyncIterator]();
  const times: number[] = [];
  const counts = { records: 0, failed: 0, bytes: 0 };
  // The first record that comes is any that was sent once the consumer stands at the end.
  let next = reading.next();
  while (consumer.positions().size === 0 && !signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const sinceMs = nowMs();
  for (let index = 0; index < load.records && !signal.aborted; index++) {
    const givenMs = nowMs();
    const [outcome] = await Promise.all([producer.send(topic, { value: valueOf(load.size, index) }, { signal }), next]);
    times.push(nowMs() - givenMs);
    counts.records += 1;
    counts.bytes += load.size;
    if (outcome.kind !== "acknowledged") counts.failed += 1;
    next = reading.next();
  }
  const result = measured(counts, sinceMs, times);
  over.abort();
  await next;
  await producer.close(signal);
  return result;
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
  const counts = { records: 0, failed: 0, bytes: 0 };
  await producer.prepare(topic, signal);
  const sinceMs = nowMs();
  let ackedMs = sinceMs;
  while (nowMs() - sinceMs < load.durationMs && !signal.aborted) {
    const givenMs = nowMs();
    const outcome = await producer.send(topic, { value: valueOf(load.size, counts.records), partition: 0 }, { signal });
    counts.records += 1;
    times.push(nowMs() - givenMs);
    if (outcome.kind !== "acknowledged") counts.failed += 1;
    else {
      pauses.push(nowMs() - ackedMs);
      ackedMs = nowMs();
    }
  }
  await producer.close(signal);
  const { records, failed, seconds, latency } = measured(counts, sinceMs, times);
  return { records, failed, seconds, latency, pausesMs: pauses.sort((a, b) => b - a).slice(0, load.pauses) };
}
