import { crc32c } from "@tidemark/compression";
import { Reason } from "@tidemark/proto/common/v1";
import { Position } from "@tidemark/proto/log/v1";
import { encodeBatch } from "@tidemark/record";
import { TidemarkError } from "@tidemark/rpc";
import { createDeferred } from "@tidemark/runtime";
import { describe, expect, test } from "vitest";
import { createFakeCluster, type FakeCluster } from "../testing/fake-cluster.ts";
import { type Consumer, type ConsumerOptions, createConsumer } from "./consumer.ts";
import type { PartitionState } from "./partition-state.ts";
import { type ConsumerEvent, createRecover } from "./recover.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** A topic whose partitions have these values, one a batch. */
async function clusterWith(...partitions: readonly (readonly string[])[]): Promise<FakeCluster> {
  const cluster = await createFakeCluster(partitions.length);
  partitions.forEach((values, partition) => {
    for (const value of values) append(cluster, partition, value);
  });
  return cluster;
}

function append(cluster: FakeCluster, partition: number, value: string): void {
  const record = { timestamp: 0n, key: null, value: bytes(value), headers: [] };
  cluster.append(partition, encodeBatch([record], { crc32c }));
}

/** A reader that takes one batch after the other while time passes. */
function open(cluster: FakeCluster, options: Partial<ConsumerOptions> = {}) {
  const events: ConsumerEvent[] = [];
  const consumer = createConsumer(cluster.connection, {
    topic: "t",
    onEvent: (event) => events.push(event),
    ...options,
  });
  const batches = consumer.batches()[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const step = batches.next();
    const over = new AbortController();
    const end = () => over.abort();
    step.then(end, end);
    for (let turn = 0; turn < 100 && !over.signal.aborted; turn++) await cluster.time.advance(100);
    if (!over.signal.aborted) return "nothing";
    const result = await step;
    if (result.done === true) return "end";
    const { value } = result;
    return value.records.map((record) => `${value.partition}/${record.offset}`).join(" ");
  };
  return { consumer, next, events, leave: () => batches.return?.() };
}

async function seek(cluster: FakeCluster, consumer: Consumer, ...place: Parameters<Consumer["seek"]>): Promise<void> {
  const sought = consumer.seek(...place);
  await cluster.time.advance(10);
  await sought;
}

describe("a partition that is paused", () => {
  test("is neither handed out nor fetched until it is resumed, and the others go on", async () => {
    const cluster = await clusterWith(["a", "b", "c"], ["x", "y", "z"]);
    const { consumer, next, leave } = open(cluster);
    consumer.pause([0]);
    expect([await next(), await next(), await next()]).toEqual(["1/0", "1/1", "1/2"]);
    expect(cluster.fetches.every((partitions) => !partitions.includes(0))).toBe(true);
    consumer.resume([0]);
    expect([await next(), await next()]).toEqual(["0/0", "0/1"]);
    await leave();
  });

  test("keeps what was fetched ahead for when it is resumed", async () => {
    const cluster = await clusterWith(["a", "b", "c"]);
    const { consumer, next, leave } = open(cluster);
    expect(await next()).toBe("0/0");
    await cluster.time.advance(1000);
    consumer.pause([0]);
    const waiting = next();
    await cluster.time.advance(5000);
    const asked = cluster.fetches.length;
    consumer.resume([0]);
    expect(await waiting).toBe("0/1");
    expect([asked, await next()]).toEqual([2, "0/2"]);
    await leave();
  });
});

describe("seek", () => {
  test("throws away what was fetched ahead", async () => {
    const cluster = await clusterWith(["a", "b", "c"]);
    const { consumer, next, leave } = open(cluster);
    expect([await next(), await next()]).toEqual(["0/0", "0/1"]);
    await cluster.time.advance(1000);
    await seek(cluster, consumer, 0, { offset: 0n });
    expect(consumer.positions()).toEqual(new Map([[0, 0n]]));
    expect([await next(), await next(), await next()]).toEqual(["0/0", "0/1", "0/2"]);
    await leave();
  });

  test("before reading has begun says where it begins, as explicit offsets do", async () => {
    const cluster = await clusterWith(["a", "b", "c"], ["x", "y"]);
    const { consumer, next, leave } = open(cluster, { offsets: new Map([[1, 1n]]) });
    await seek(cluster, consumer, 0, { offset: 2n });
    expect([await next(), await next()].sort()).toEqual(["0/2", "1/1"]);
    await leave();
  });

  test("finds a named place", async () => {
    const cluster = await clusterWith(["a", "b", "c"]);
    const { consumer, next, leave } = open(cluster);
    expect(await next()).toBe("0/0");
    await seek(cluster, consumer, 0, "latest");
    expect(consumer.positions()).toEqual(new Map([[0, 3n]]));
    append(cluster, 0, "d");
    expect(await next()).toBe("0/3");
    await leave();
  });

  test.each([-1n, 2n ** 63n, 1 as never])("refuses %s, as the options do", async (offset) => {
    const cluster = await clusterWith(["a"]);
    const invalid = { reason: Reason.INVALID_ARGUMENT };
    await expect(open(cluster).consumer.seek(0, { offset })).rejects.toMatchObject(invalid);
    const make = (options: Partial<ConsumerOptions>) => () =>
      createConsumer(cluster.connection, { topic: "t", ...options });
    expect(make({ from: { offset } })).toThrow(TidemarkError);
    expect(make({ offsets: new Map([[0, offset]]) })).toThrow(TidemarkError);
  });
});

describe("47: an offset that is not there", () => {
  test("ends reading with its error, and is an event before", async () => {
    const { next, events } = open(await clusterWith(["a"]), { from: { offset: 7n } });
    await expect(next()).rejects.toMatchObject({ reason: Reason.OFFSET_OUT_OF_RANGE });
    const expected = { kind: "outOfRange", partition: 0, offset: 7n, logStart: 0n, highWatermark: 1n };
    expect(events).toEqual([{ ...expected, resumesAt: undefined }]);
  });

  test("is gone on after from the first one, or from what comes, where that is asked for", async () => {
    const cluster = await clusterWith(["a", "b"]);
    const earliest = open(cluster, { from: { offset: 7n }, offsetReset: "earliest" });
    expect([await earliest.next(), earliest.events]).toMatchObject(["0/0", [{ kind: "outOfRange", resumesAt: 0n }]]);
    await earliest.leave();
    const latest = open(cluster, { from: { offset: 7n }, offsetReset: "latest" });
    expect(await latest.next()).toBe("nothing");
    expect(latest.events).toMatchObject([{ kind: "outOfRange", resumesAt: 2n }]);
  });
});

describe("47: a log that was cut by an unclean election", () => {
  const cutAt = (offset: bigint, leaderEpoch = 0) =>
    new TidemarkError({
      reason: Reason.LOG_TRUNCATED,
      message: "Cut",
      divergence: { leaderEpoch, offset },
    });

  test("is an event with where the logs part, and the end of reading", async () => {
    const cluster = await clusterWith(["a", "b"]);
    const { next, events } = open(cluster);
    expect([await next(), await next()]).toEqual(["0/0", "0/1"]);
    await cluster.time.advance(1000);
    cluster.onFetch(0, cutAt(1n));
    await expect(next()).rejects.toMatchObject({ reason: Reason.LOG_TRUNCATED });
    expect(events).toEqual([{ kind: "truncated", partition: 0, offset: 1n, given: 2n, resumesAt: undefined }]);
  });

  test("is gone on after from there, where an offset reset is asked for", async () => {
    const cluster = await clusterWith(["a", "b"]);
    const { next, events, leave } = open(cluster, { offsetReset: "latest" });
    expect([await next(), await next()]).toEqual(["0/0", "0/1"]);
    cluster.onFetch(0, cutAt(1n));
    expect(await next()).toBe("0/1");
    expect(events).toEqual([{ kind: "truncated", partition: 0, offset: 1n, given: 2n, resumesAt: 1n }]);
    await leave();
  });

  // What simulated seed 900026 found: the next request failed, and reading ended.
  test("is gone on after from its start where the leader has no leader epoch in common with what was read", async () => {
    const cluster = await clusterWith(["a", "b"]);
    const { next, leave } = open(cluster, { offsetReset: "latest" });
    expect([await next(), await next()]).toEqual(["0/0", "0/1"]);
    cluster.onFetch(0, cutAt(0n, -1));
    expect([await next(), await next()]).toEqual(["0/0", "0/1"]);
    expect(cluster.fetched.filter(({ lastReadLeaderEpoch = 0 }) => lastReadLeaderEpoch < 0)).toEqual([]);
    await leave();
  });

  test("is nothing to its reader where it had not been given what was cut", () => {
    const events: ConsumerEvent[] = [];
    const recover = createRecover("fail", (event) => events.push(event));
    const state: PartitionState = {
      partition: 0,
      offset: 9n,
      given: 5n,
      end: 9n,
      leaderEpoch: 1,
      lastReadLeaderEpoch: 1,
      jumps: 0,
      failing: undefined,
    };
    expect([recover(state, cutAt(7n)), events]).toEqual([true, []]);
    expect(state).toMatchObject({ offset: 5n, given: 5n, end: 7n, jumps: 1 });
  });
});

test("a fetch says of which leader epoch the last record was, so that a leader without it can say so (KIP-320)", async () => {
  const cluster = await clusterWith(["a", "b"]);
  const { next, leave } = open(cluster);
  await next();
  await next();
  expect(cluster.fetched[0]?.lastReadLeaderEpoch).toBeUndefined();
  expect(cluster.fetched[1]).toMatchObject({ lastReadLeaderEpoch: 0, leaderEpoch: 0 });
  await leave();
});

test("a reading that begins after its topic was deleted and made again reads the one that is there", async () => {
  const cluster = await clusterWith(["a"]);
  const first = open(cluster);
  expect(await first.next()).toBe("0/0");
  await first.leave();
  cluster.topicId = "another";
  const second = open(cluster);
  expect(await second.next()).toBe("0/0");
  await second.leave();
});

test("a seek counts also where it comes between the moments in which reading begins", async () => {
  const cluster = await clusterWith(["a", "b", "c"]);
  const gate = createDeferred();
  const { fetchAt } = cluster.connection;
  // The end is looked up last.
  const connection = {
    ...cluster.connection,
    fetchAt: (endpoint: string) => ({
      ...fetchAt(endpoint),
      async listOffsets(...call: Parameters<ReturnType<typeof fetchAt>["listOffsets"]>) {
        const { target } = call[0];
        if (target?.case === "position" && target.value === Position.LATEST) await gate.promise;
        return fetchAt(endpoint).listOffsets(...call);
      },
    }),
  };
  const consumer = createConsumer(connection, { topic: "t", untilEnd: true });
  const first = consumer.batches()[Symbol.asyncIterator]().next();
  await cluster.time.advance(10);
  await seek(cluster, consumer, 0, { offset: 2n });
  gate.resolve();
  await cluster.time.advance(10);
  expect((await first).value).toMatchObject({ records: [{ offset: 2n }] });
});

test("a seek between two readings is where the second begins, also where the topic was made anew between them", async () => {
  const cluster = await clusterWith(["a", "b", "c"]);
  const { consumer, next, leave } = open(cluster);
  expect(await next()).toBe("0/0");
  await leave();
  const readFirst = async () => {
    for await (const { records } of consumer.batches()) return records.map(({ offset }) => offset);
    return [];
  };
  await seek(cluster, consumer, 0, { offset: 1n });
  expect(await readFirst()).toEqual([1n]);
  cluster.topicId = "another";
  await seek(cluster, consumer, 0, "earliest");
  expect(await readFirst()).toEqual([0n]);
});

test("a seek in a partition that is not read is refused, and not forgotten", async () => {
  const cluster = await clusterWith(["a"], ["x"]);
  const { consumer } = open(cluster, { partitions: [1] });
  const refused = { reason: Reason.INVALID_ARGUMENT };
  await expect(consumer.seek(0, { offset: 0n })).rejects.toMatchObject(refused);
  await expect(open(cluster).consumer.seek(2, "earliest")).rejects.toMatchObject(refused);
});
