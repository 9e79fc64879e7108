import type { Client, Producer, RecordOutcome } from "@tidemark/client";

/** Bytes of a value. */
export const valueBytes = 200;

/** What one load gave. */
export interface LoadFigures {
  readonly recordsPerSecond: number;
  /** Milliseconds, of each record or call, in the order in which they ended. */
  readonly latenciesMs: readonly number[];
}

/** How records are given: so many, and the next ones when all of them have arrived; or as many as the buffer takes. */
export type Shape = { readonly kind: "rounds"; readonly atOnce: number } | { readonly kind: "saturated" };

const nowMs = () => performance.now();

/** Each record has a value of its own, made when it is sent. */
function makeValue(index: number): Uint8Array {
  return Buffer.alloc(valueBytes, `${index} the quick brown fox jumps over the lazy dog `);
}

function offsetOf(outcome: RecordOutcome): bigint {
  if (outcome.kind !== "acknowledged") throw outcome.error;
  return outcome.offset ?? 0n;
}

/** Resolves with the record's offset. */
async function mustSend(producer: Producer, topic: string, index: number): Promise<bigint> {
  return offsetOf(await producer.send(topic, { value: makeValue(index), partition: 0 }));
}

const mustSendRound = (producer: Producer, topic: string, atOnce: number) =>
  Promise.all(Array.from({ length: atOnce }, (_, index) => mustSend(producer, topic, index)));

/** Fills the buffer until the time is over. `onGiven` is told of each record before it is given, with one look at the clock for some. */
async function fill(
  producer: Producer,
  topic: string,
  durationMs: number,
  { onGiven, onAck }: { readonly onGiven?: (atMs: number) => void; readonly onAck?: (givenMs: number) => void },
): Promise<void> {
  const sinceMs = nowMs();
  let failure: Error | undefined;
  for (let index = 0; nowMs() - sinceMs < durationMs; ) {
    const givenMs = nowMs();
    let hasRoom = true;
    for (let some = 0; some < 100 && hasRoom; some++) {
      onGiven?.(givenMs);
      hasRoom = producer.enqueue(topic, { value: makeValue(index++), partition: 0 }, (outcome) => {
        onAck?.(givenMs);
        if (outcome.kind !== "acknowledged") failure ??= outcome.error;
      });
    }
    if (!hasRoom) await producer.writable();
  }
  await producer.flush();
  if (failure !== undefined) throw failure;
}

/** Producing alone. The latency is that of a round's acks, or from giving a record to its ack. */
export async function produce(client: Client, topic: string, shape: Shape, durationMs: number): Promise<LoadFigures> {
  const producer = client.createProducer();
  await mustSend(producer, topic, 0);
  const latenciesMs: number[] = [];
  const sinceMs = nowMs();
  let records = 0;
  if (shape.kind === "saturated") {
    const onAck = (givenMs: number) => latenciesMs.push(nowMs() - givenMs);
    await fill(producer, topic, durationMs, { onAck });
    records = latenciesMs.length;
  } else {
    for (; nowMs() - sinceMs < durationMs; records += shape.atOnce) {
      const givenMs = nowMs();
      await mustSendRound(producer, topic, shape.atOnce);
      latenciesMs.push(nowMs() - givenMs);
    }
  }
  const seconds = (nowMs() - sinceMs) / 1000;
  await producer.close();
  return { recordsPerSecond: records / seconds, latenciesMs };
}

/**
 * Reads what is there from its start to its end, and again from its start by a seek, until the time is over. The latency is that
 * of a batch as the consumer hands it out.
 */
export async function readBack(client: Client, topic: string, durationMs: number): Promise<LoadFigures> {
  // It does not wait at the end, from where a seek takes it back.
  const consumer = client.createConsumer({ topic, partitions: [0], from: "earliest", maxWaitMs: 1 });
  const end = (await consumer.highWatermarks()).get(0) ?? 0n;
  const latenciesMs: number[] = [];
  let records = 0;
  let sinceMs = Number.NaN;
  let askedMs = 0;
  for await (const batch of consumer.batches()) {
    // The first one waits for the consumer to begin.
    if (Number.isNaN(sinceMs)) sinceMs = nowMs();
    else {
      latenciesMs.push(nowMs() - askedMs);
      for (const { value } of batch.records) if (value?.length === valueBytes) records++;
    }
    if (nowMs() - sinceMs >= durationMs) break;
    askedMs = nowMs();
    if (batch.nextOffset >= end) await consumer.seek(0, { offset: 0n });
  }
  return { recordsPerSecond: records / ((nowMs() - sinceMs) / 1000), latenciesMs };
}

/** From giving a record, or a round of them, until a consumer that waits for it has it, or all of them. */
export async function endToEnd(client: Client, topic: string, shape: Shape, durationMs: number): Promise<LoadFigures> {
  const producer = client.createProducer();
  const last = await mustSend(producer, topic, 0);
  const over = new AbortController();
  const consumer = client.createConsumer({ topic, partitions: [0], offsets: new Map([[0, last + 1n]]) });
  const reading = consumer.batches(over.signal)[Symbol.asyncIterator]();
  const readSome: ReadSome = async () => {
    const next = await reading.next();
    if (next.done) throw new Error("The consumer ended");
    return next.value.records.length;
  };
  // The first one waits for the consumer to begin.
  await Promise.all([readSome(), mustSend(producer, topic, 0)]);
  const passing = { producer, topic, readSome, durationMs };
  const sinceMs = nowMs();
  const { records, latenciesMs } =
    shape.kind === "saturated" ? await passSaturated(passing) : await passInRounds(passing, shape.atOnce);
  const seconds = (nowMs() - sinceMs) / 1000;
  over.abort();
  await producer.close();
  return { recordsPerSecond: records / seconds, latenciesMs };
}

/** Resolves with how many records came, when some did. */
type ReadSome = () => Promise<number>;

interface Passing {
  readonly producer: Producer;
  readonly topic: string;
  readonly readSome: ReadSome;
  readonly durationMs: number;
}

interface Passed {
  readonly records: number;
  readonly latenciesMs: readonly number[];
}

async function passInRounds({ producer, topic, readSome, durationMs }: Passing, atOnce: number): Promise<Passed> {
  const readRound = async () => {
    for (let left = atOnce; left > 0; ) left -= await readSome();
  };
  const latenciesMs: number[] = [];
  for (const sinceMs = nowMs(); nowMs() - sinceMs < durationMs; ) {
    const givenMs = nowMs();
    await Promise.all([mustSendRound(producer, topic, atOnce), readRound()]);
    latenciesMs.push(nowMs() - givenMs);
  }
  return { records: latenciesMs.length * atOnce, latenciesMs };
}

/** Records of one partition come in the order in which they were given, so the count says which one it is. */
async function passSaturated({ producer, topic, readSome, durationMs }: Passing): Promise<Passed> {
  const givenMs: number[] = [];
  const latenciesMs: number[] = [];
  let isAllGiven = false;
  const giveAll = async () => {
    await fill(producer, topic, durationMs, { onGiven: (atMs) => givenMs.push(atMs) });
    // One that is still to come, so that the reader does not wait in vain.
    givenMs.push(nowMs());
    isAllGiven = true;
    await mustSend(producer, topic, givenMs.length);
  };
  const readAll = async () => {
    while (!isAllGiven || latenciesMs.length < givenMs.length) {
      const count = await readSome();
      const atMs = nowMs();
      for (let each = 0; each < count; each++) latenciesMs.push(atMs - (givenMs[latenciesMs.length] ?? Number.NaN));
    }
  };
  await Promise.all([giveAll(), readAll()]);
  return { records: latenciesMs.length, latenciesMs };
}
