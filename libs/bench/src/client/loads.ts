import type { Client, Producer } from "@tidemark/client";

/** Bytes of a value. */
export const valueBytes = 200;

/** What one load gave. */
export interface LoadFigures {
  readonly recordsPerSecond: number;
  /** Milliseconds, of each record or call, in the order in which they ended. */
  readonly latenciesMs: readonly number[];
}

const nowMs = () => performance.now();

/** Each record has a value of its own, made when it is sent. */
function makeValue(index: number): Uint8Array {
  return Buffer.alloc(valueBytes, `${index} the quick brown fox jumps over the lazy dog `);
}

/** Resolves with the record's offset. */
async function mustSend(producer: Producer, topic: string, index: number): Promise<bigint> {
  const outcome = await producer.send(topic, { value: makeValue(index), partition: 0 });
  if (outcome.kind !== "acknowledged") throw outcome.error;
  return outcome.offset ?? 0n;
}

/** So many records at a time, and the next ones when all of them are acknowledged. The latency is that of all of them. */
export async function sendInRounds(
  client: Client,
  topic: string,
  { atOnce, durationMs }: { readonly atOnce: number; readonly durationMs: number },
): Promise<LoadFigures> {
  const producer = client.createProducer();
  await mustSend(producer, topic, 0);
  const latenciesMs: number[] = [];
  const sinceMs = nowMs();
  let sent = 0;
  while (nowMs() - sinceMs < durationMs) {
    const givenMs = nowMs();
    await Promise.all(Array.from({ length: atOnce }, () => mustSend(producer, topic, sent++)));
    latenciesMs.push(nowMs() - givenMs);
  }
  const seconds = (nowMs() - sinceMs) / 1000;
  await producer.close();
  return { recordsPerSecond: sent / seconds, latenciesMs };
}

/** As many records as the producer's buffer takes. The latency is from giving a record to its ack. */
export async function saturate(client: Client, topic: string, durationMs: number): Promise<LoadFigures> {
  const producer = client.createProducer();
  await mustSend(producer, topic, 0);
  const latenciesMs: number[] = [];
  const sinceMs = nowMs();
  let failure: Error | undefined;
  for (let index = 0; nowMs() - sinceMs < durationMs; ) {
    // One look at the clock for some records.
    const givenMs = nowMs();
    let hasRoom = true;
    for (let some = 0; some < 100 && hasRoom; some++) {
      hasRoom = producer.enqueue(topic, { value: makeValue(index++), partition: 0 }, (outcome) => {
        latenciesMs.push(nowMs() - givenMs);
        if (outcome.kind !== "acknowledged") failure ??= outcome.error;
      });
    }
    if (!hasRoom) await producer.writable();
  }
  await producer.close();
  if (failure !== undefined) throw failure;
  return { recordsPerSecond: latenciesMs.length / ((nowMs() - sinceMs) / 1000), latenciesMs };
}

/** Reads from the log start until the end or the end of the time. The latency is that of a batch. */
export async function readBack(client: Client, topic: string, durationMs: number): Promise<LoadFigures> {
  const latenciesMs: number[] = [];
  const sinceMs = nowMs();
  let records = 0;
  let askedMs = sinceMs;
  for await (const batch of client.createConsumer({ topic, from: "earliest", untilEnd: true }).batches()) {
    latenciesMs.push(nowMs() - askedMs);
    for (const { value } of batch.records) if (value?.length === valueBytes) records++;
    askedMs = nowMs();
    if (askedMs - sinceMs >= durationMs) break;
  }
  return { recordsPerSecond: records / ((nowMs() - sinceMs) / 1000), latenciesMs };
}

/** One record at a time, from giving it until a consumer that waits for it has it. */
export async function endToEnd(client: Client, topic: string, durationMs: number): Promise<LoadFigures> {
  const producer = client.createProducer();
  const last = await mustSend(producer, topic, 0);
  const over = new AbortController();
  const consumer = client.createConsumer({ topic, partitions: [0], offsets: new Map([[0, last + 1n]]) });
  const reading = consumer.records(over.signal)[Symbol.asyncIterator]();
  const latenciesMs: number[] = [];
  // The first one waits for the consumer to begin.
  let sinceMs = Number.POSITIVE_INFINITY;
  for (let index = 0; !(nowMs() - sinceMs >= durationMs); index++) {
    const read = reading.next();
    const givenMs = nowMs();
    await Promise.all([mustSend(producer, topic, index), read]);
    if (index > 0) latenciesMs.push(nowMs() - givenMs);
    else sinceMs = nowMs();
  }
  const seconds = (nowMs() - sinceMs) / 1000;
  over.abort();
  await producer.close();
  return { recordsPerSecond: latenciesMs.length / seconds, latenciesMs };
}
