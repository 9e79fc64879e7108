import { crc32c } from "@tidemark/compression";
import { Reason } from "@tidemark/proto/common/v1";
import { encodeBatch } from "@tidemark/record";
import { describe, expect, test } from "vitest";
import { createFakeCluster, type FakeCluster, refused } from "../testing/fake-cluster.ts";
import { type ConsumedRecord, type ConsumerOptions, createConsumer } from "./consumer.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array | null) => (value === null ? null : new TextDecoder().decode(value));

function append(cluster: FakeCluster, partition: number, ...values: readonly string[]): void {
  const records = values.map((value) => ({ timestamp: 0n, key: null, value: bytes(value), headers: [] }));
  cluster.append(partition, encodeBatch(records, { crc32c }));
}

/** A batch as compaction leaves it where all its records go and it stays for its offset. */
function appendEmpty(cluster: FakeCluster, partition: number, records: number): void {
  const record = { timestamp: 0n, key: null, value: bytes("gone"), headers: [] };
  const batch = encodeBatch(new Array(records).fill(record), { crc32c }).slice(0, 61);
  const view = new DataView(batch.buffer);
  view.setInt32(8, batch.length - 12);
  view.setInt32(57, 0);
  view.setUint32(17, crc32c(batch.subarray(21)));
  cluster.append(partition, batch);
}

function consumer(cluster: FakeCluster, options: Partial<ConsumerOptions> = {}) {
  return createConsumer(cluster.connection, { topic: "t", ...options });
}

/** Reads to the end while time passes. */
async function readAll(cluster: FakeCluster, records: AsyncIterable<ConsumedRecord>): Promise<string[]> {
  const read: string[] = [];
  const over = new AbortController();
  const reading = (async () => {
    for await (const { partition, offset, value } of records) read.push(`${partition}/${offset} ${text(value)}`);
  })().finally(() => over.abort());
  reading.catch(() => undefined);
  for (let step = 0; step < 5000 && !over.signal.aborted; step++) await cluster.time.advance(100);
  await reading;
  return read;
}

describe("a consumer", () => {
  test("reads every record once and in order, to the end that it found at its beginning", async () => {
    const cluster = await createFakeCluster(1);
    append(cluster, 0, "a", "b");
    append(cluster, 0, "c");
    const read = await readAll(cluster, consumer(cluster, { untilEnd: true }).records());
    expect(read).toEqual(["0/0 a", "0/1 b", "0/2 c"]);
  });

  test("goes on over batches that compaction left without records, to an end behind them too", async () => {
    const cluster = await createFakeCluster(2);
    appendEmpty(cluster, 0, 2);
    appendEmpty(cluster, 0, 1);
    append(cluster, 0, "a");
    append(cluster, 1, "b");
    appendEmpty(cluster, 1, 3);
    const read = await readAll(cluster, consumer(cluster, { untilEnd: true }).records());
    expect(read.sort()).toEqual(["0/3 a", "1/0 b"]);
  });

  test("ends at once where there is nothing", async () => {
    const cluster = await createFakeCluster(3);
    expect(await readAll(cluster, consumer(cluster, { untilEnd: true }).records())).toEqual([]);
    expect(cluster.fetches).toEqual([]);
  });

  test("does not go beyond that end where an answer holds more", async () => {
    const cluster = await createFakeCluster(1);
    cluster.batchesPerAnswer = 10;
    append(cluster, 0, "a");
    cluster.onFetch(0, refused(Reason.NOT_LEADER));
    const records = consumer(cluster, { untilEnd: true }).records()[Symbol.asyncIterator]();
    const first = records.next();
    while (cluster.fetches.length === 0) await Promise.resolve();
    append(cluster, 0, "b");
    await cluster.time.advance(1000);
    expect(await first).toMatchObject({ value: { offset: 0n } });
    expect(await records.next()).toMatchObject({ done: true });
  });

  test("says where its reader stands, not what it has fetched ahead", async () => {
    const cluster = await createFakeCluster(1);
    append(cluster, 0, "a");
    append(cluster, 0, "b");
    const reading = consumer(cluster);
    const batches = reading.batches()[Symbol.asyncIterator]();
    await batches.next();
    await cluster.time.advance(1000);
    expect(reading.positions()).toEqual(new Map([[0, 1n]]));
    await batches.return?.();
  });

  test("begins in the middle of a batch at the offset that was asked for", async () => {
    const cluster = await createFakeCluster(1);
    append(cluster, 0, "a", "b", "c");
    const read = await readAll(cluster, consumer(cluster, { from: { offset: 1n }, untilEnd: true }).records());
    expect(read).toEqual(["0/1 b", "0/2 c"]);
  });

  test("begins at what comes for latest, and for a time that no record is as late as", async () => {
    for (const from of ["latest", { timestampMs: 5 }] as const) {
      const cluster = await createFakeCluster(1);
      append(cluster, 0, "a");
      const records = consumer(cluster, { from }).records()[Symbol.asyncIterator]();
      const next = records.next();
      await cluster.time.advance(100);
      append(cluster, 0, "b");
      await cluster.time.advance(1000);
      expect(await next).toMatchObject({ value: { offset: 1n } });
      await Promise.all([records.return?.(), cluster.time.advance(1000)]);
    }
  });

  test("reads the partitions that were asked for and no others", async () => {
    const cluster = await createFakeCluster(3);
    for (const partition of [0, 1, 2]) append(cluster, partition, "x");
    expect(await readAll(cluster, consumer(cluster, { partitions: [1], untilEnd: true }).records())).toEqual(["1/0 x"]);
  });

  test.each([0, 1, 2])("refuses to begin behind the end that it is to end at, of %i records", async (count) => {
    const cluster = await createFakeCluster(1);
    for (let index = 0; index < count; index++) append(cluster, 0, "x");
    const from = { offset: BigInt(count) };
    expect(await readAll(cluster, consumer(cluster, { from, untilEnd: true }).records())).toEqual([]);
    const behind = { offset: BigInt(count + 1) };
    await expect(readAll(cluster, consumer(cluster, { from: behind, untilEnd: true }).records())).rejects.toMatchObject(
      {
        reason: Reason.OFFSET_OUT_OF_RANGE,
        fields: { partition: 0, highWatermark: BigInt(count) },
      },
    );
  });

  test("reads compressed batches", async () => {
    const cluster = await createFakeCluster(1);
    const { zstd } = cluster.connection.codecs;
    const value = bytes(`${"x".repeat(3000)}${Math.PI}`);
    if (zstd === undefined) throw new Error("zstd is there");
    cluster.append(0, encodeBatch([{ timestamp: 0n, key: null, value, headers: [] }], { crc32c, codec: zstd }));
    expect(await readAll(cluster, consumer(cluster, { untilEnd: true }).records())).toEqual([`0/0 ${text(value)}`]);
  });
});

describe("what goes wrong while reading", () => {
  const passing = () => refused(Reason.NOT_LEADER);

  test("of one partition takes nothing away from what others of the same answer had", async () => {
    const cluster = await createFakeCluster(3);
    for (const partition of [0, 1, 2]) append(cluster, partition, "a", "b");
    cluster.onFetch(1, passing(), passing());
    const read = await readAll(cluster, consumer(cluster, { untilEnd: true }).records());
    expect(read.toSorted()).toEqual(["0/0 a", "0/1 b", "1/0 a", "1/1 b", "2/0 a", "2/1 b"]);
  });

  test("and will not pass is told after what came before it was read", async () => {
    const cluster = await createFakeCluster(2);
    append(cluster, 0, "a");
    append(cluster, 1, "b");
    cluster.onFetch(1, refused(Reason.PERMISSION_DENIED));
    const read: string[] = [];
    const reading = (async () => {
      for await (const record of consumer(cluster).records()) read.push(text(record.value) ?? "");
    })();
    await expect(reading).rejects.toMatchObject({ reason: Reason.PERMISSION_DENIED });
    expect(read).toEqual(["a"]);
  });

  test("for longer than it bears is told", async () => {
    const cluster = await createFakeCluster(1);
    append(cluster, 0, "a");
    cluster.onFetch(0, ...Array.from({ length: 100 }, passing));
    const reading = readAll(cluster, consumer(cluster, { retryTimeoutMs: 5000 }).records());
    await expect(reading).rejects.toMatchObject({ reason: Reason.NOT_LEADER });
  });

  test("is forgiven by every success: only an unbroken row of failures counts", async () => {
    const cluster = await createFakeCluster(1);
    for (let index = 0; index < 10; index++) append(cluster, 0, `${index}`);
    const reading = consumer(cluster, { untilEnd: true, retryTimeoutMs: 1000 }).batches()[Symbol.asyncIterator]();
    let read = 0;
    for (let isOver = false; !isOver; read++) {
      cluster.onFetch(0, passing(), passing());
      const next = reading.next();
      await cluster.time.advance(500);
      isOver = (await next).done === true;
    }
    expect(read - 1).toBe(10);
  });

  test("an offset that does not exist is a typed error", async () => {
    const cluster = await createFakeCluster(1);
    const reading = readAll(cluster, consumer(cluster, { from: { offset: 7n } }).records());
    await expect(reading).rejects.toMatchObject({ reason: Reason.OFFSET_OUT_OF_RANGE });
  });

  test("a batch whose bytes were changed is refused, and nothing of it is handed out", async () => {
    const cluster = await createFakeCluster(1);
    append(cluster, 0, "a");
    const [batch] = cluster.bytesOf(0);
    if (batch === undefined) throw new Error("It was appended");
    batch[batch.length - 2] = (batch[batch.length - 2] ?? 0) ^ 1;
    await expect(readAll(cluster, consumer(cluster).records())).rejects.toMatchObject({ reason: Reason.CORRUPT_BATCH });
  });
});

describe("a reader that is slow, or leaves", () => {
  test("has one answer in its hands and one ahead, and no more are asked for", async () => {
    const cluster = await createFakeCluster(1);
    for (let index = 0; index < 20; index++) append(cluster, 0, `${index}`);
    const batches = consumer(cluster).batches()[Symbol.asyncIterator]();
    await batches.next();
    await cluster.time.advance(10_000);
    expect(cluster.fetches).toHaveLength(2);
    await batches.next();
    await cluster.time.advance(10_000);
    expect(cluster.fetches).toHaveLength(3);
    await batches.return?.();
  });

  test("ends without an error when its signal is aborted", async () => {
    const cluster = await createFakeCluster(1);
    const abort = new AbortController();
    const reading = readAll(cluster, consumer(cluster).records(abort.signal));
    abort.abort();
    expect(await reading).toEqual([]);
  });

  test("ends so too while it waits to try again", async () => {
    const cluster = await createFakeCluster(1);
    append(cluster, 0, "a");
    cluster.onFetch(0, ...Array.from({ length: 100 }, () => refused(Reason.NOT_LEADER)));
    const abort = new AbortController();
    const next = consumer(cluster).records(abort.signal)[Symbol.asyncIterator]().next();
    await cluster.time.advance(1000);
    abort.abort();
    expect(await next).toMatchObject({ done: true });
  });

  test("leaves no call behind", async () => {
    const cluster = await createFakeCluster(1);
    append(cluster, 0, "a");
    const records = consumer(cluster).records()[Symbol.asyncIterator]();
    await records.next();
    await records.return?.();
    const before = cluster.fetches.length;
    await cluster.time.advance(10_000);
    expect(cluster.fetches).toHaveLength(before);
  });
});

describe("partitions that are led at several endpoints", () => {
  const leads = (cluster: FakeCluster, partition: number, leader: string) =>
    cluster.connection.routes.heed({ topic: "t", partition }, "", refused(Reason.NOT_LEADER, { leader }));
  const fetchesOf = (cluster: FakeCluster, partition: number) =>
    cluster.fetches.filter((partitions) => partitions.includes(partition)).length;

  test("are held to one unread answer each", async () => {
    const cluster = await createFakeCluster(2);
    leads(cluster, 1, "broker-2:1");
    for (const partition of [0, 1]) for (const value of ["a", "b", "c"]) append(cluster, partition, value);
    const batches = consumer(cluster).batches()[Symbol.asyncIterator]();
    await batches.next();
    await cluster.time.advance(10_000);
    expect([fetchesOf(cluster, 0), fetchesOf(cluster, 1)]).toEqual([2, 1]);
    await batches.return?.();
  });

  test("are not fetched twice at once when their leader changes in between", async () => {
    const cluster = await createFakeCluster(2);
    leads(cluster, 1, "broker-2:1");
    append(cluster, 1, "a");
    append(cluster, 1, "b");
    const batches = consumer(cluster, { maxWaitMs: 60_000 }).batches()[Symbol.asyncIterator]();
    await batches.next();
    leads(cluster, 0, "broker-3:1");
    await batches.next();
    await cluster.time.advance(1000);
    expect(fetchesOf(cluster, 0)).toBe(1);
    await batches.return?.();
  });
});
