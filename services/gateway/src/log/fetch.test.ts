import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { type FetchRequest, Format, Position } from "@tidemark/proto/log/v1";
import { TidemarkError, toErrorDetail } from "@tidemark/rpc";
import { waitFor } from "@tidemark/testkit";
import { createTcpProxy } from "@tidemark/testkit/tcp-proxy";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startWorld, type World, type WorldOptions } from "../testing/world.ts";

let world: World;
beforeAll(async () => {
  // For the one call that comes without a deadline.
  world = await startWorld({ defaultMs: 400 });
});
afterAll(() => world.stop());
const start = async (topic?: Pick<WorldOptions, "leads" | "settings">) => {
  await world.reset(topic);
  return world;
};

/** Every partition that is asked for has so many records from where it is asked on. */
const having = (count: number) => (request: FetchRequest) => ({
  partitions: request.partitions.map(({ partition, start: from }) => {
    const first = from.case === "offset" ? from.value : 0n;
    const records = Array.from({ length: count }, (_, index) => ({ offset: first + BigInt(index) }));
    return { partition, records, highWatermark: 100n, nextOffset: first + BigInt(count), leaderEpoch: 1 };
  }),
});
const failing = (error: TidemarkError) => (request: FetchRequest) => ({
  partitions: request.partitions.map(({ partition }) => ({
    partition,
    error: toErrorDetail(error),
    message: error.message,
  })),
});
const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
const notLeader = (leader?: { broker: number; endpoint: string; leaderEpoch: number }) =>
  new TidemarkError({ reason: Reason.NOT_LEADER, message: "elsewhere", ...(leader === undefined ? {} : { leader }) });

describe("a fetch", () => {
  it("of a whole topic asks every leader for its partitions, and its next request goes on from there", async () => {
    const { log, broker } = await start();
    for (const each of [broker(1), broker(2)]) each.fetch = having(2);
    const { partitions, next } = await log.fetch({ topic: "orders", format: Format.TEXT });
    expect(partitions.map(({ partition, records }) => [partition, records.length])).toEqual([
      [0, 2],
      [1, 2],
    ]);
    expect(broker(2).fetched).toMatchObject([{ format: Format.TEXT, partitions: [{ partition: 1 }] }]);
    expect(next).toMatchObject({ topic: "orders", format: Format.TEXT });
    expect(next?.partitions.map(({ start: from, leaderEpoch }) => [from.value, leaderEpoch])).toEqual([
      [2n, 1],
      [2n, 1],
    ]);
  });

  it("splits its limits between the leaders", async () => {
    const { log, broker } = await start();
    for (const each of [broker(1), broker(2)]) each.fetch = having(10);
    const { partitions } = await log.fetch({ topic: "orders", maxRecords: 7, maxBytes: 1000 });
    expect(partitions.map(({ records }) => records.length).reduce((a, b) => a + b)).toBe(7);
    expect(broker(1).fetched[0]?.maxBytes).toBe(500);
  });

  it("asks for no more bytes than it can hand on, whatever it is asked for", async () => {
    const { log, broker } = await start();
    await log.fetch({ topic: "orders", maxBytes: 2 ** 32 - 1, format: Format.BATCHES });
    expect(broker(1).fetched[0]?.maxBytes).toBeLessThan(2 * 2 ** 20);
  });

  it("hands out at most 100 records where it does not say", async () => {
    const { log, broker } = await start();
    for (const each of [broker(1), broker(2)]) each.fetch = having(80);
    const { partitions } = await log.fetch({ topic: "orders" });
    expect(partitions.map(({ records }) => records.length)).toEqual([50, 50]);
  });

  it("lets the only leader wait for data", async () => {
    const { log, broker } = await start();
    broker(1).fetch = having(1);
    await log.fetch({ topic: "orders", partitions: [{ partition: 0 }], maxWaitMs: 700, minBytes: 5 });
    const [request] = broker(1).fetched;
    expect(request?.minBytes).toBe(5);
    expect(request?.maxWaitMs).toBeGreaterThan(0);
    expect(request?.maxWaitMs).toBeLessThanOrEqual(700);
  });

  it("waits at every leader, and ends the waiting when the first has something", async () => {
    const { log, broker } = await start();
    let cancelled = 0;
    broker(1).fetch = async (request, { signal }) => {
      if (request.maxWaitMs === 0) return having(0)(request);
      signal.addEventListener("abort", () => (cancelled += 1), { once: true });
      return untilAborted(signal);
    };
    broker(2).fetch = (request) => (request.maxWaitMs === 0 ? having(0)(request) : having(3)(request));
    const { partitions } = await log.fetch({ topic: "orders", maxWaitMs: 60_000 });
    expect(partitions.map(({ records }) => records.length)).toEqual([0, 3]);
    expect(partitions[0]?.highWatermark).toBe(100n);
    await waitFor("the other leader to be told", () => cancelled === 1);
  });

  it("does not wait where there is something already", async () => {
    const { log, broker } = await start();
    broker(1).fetch = having(1);
    broker(2).fetch = having(0);
    await log.fetch({ topic: "orders", maxWaitMs: 60_000 });
    expect(broker(2).fetched.map(({ maxWaitMs }) => maxWaitMs)).toEqual([0]);
  });

  it("asks a partition's new leader where the old one refuses, and keeps what the others gave", async () => {
    const { log, broker } = await start();
    broker(1).fetch = failing(notLeader({ broker: 2, endpoint: broker(2).endpoint, leaderEpoch: 2 }));
    broker(2).fetch = (request) => (request.partitions.length === 1 ? having(2)(request) : having(1)(request));
    const { partitions } = await log.fetch({ topic: "orders", partitions: [{ partition: 0 }] });
    expect(partitions).toMatchObject([{ partition: 0 }]);
    expect(partitions[0]?.records).toHaveLength(2);
  });

  it("serves what can be read although a partition has no leader, and says so of that one", async () => {
    const { log, broker } = await start({
      leads: [
        { partition: 0, leader: undefined, leaderEpoch: 1 },
        { partition: 1, leader: 2, leaderEpoch: 1 },
      ],
    });
    broker(2).fetch = having(2);
    const { partitions, next } = await log.fetch({
      topic: "orders",
      partitions: [
        { partition: 0, start: { case: "offset", value: 42n } },
        { partition: 1, start: { case: "position", value: Position.EARLIEST } },
      ],
    });
    expect(partitions[0]?.error?.reason).toBe(Reason.LEADER_NOT_AVAILABLE);
    expect(partitions[1]?.records).toHaveLength(2);
    expect(next?.partitions[0]?.start.value).toBe(42n);
  });

  it("fails as a whole where its only partition cannot be read", async () => {
    const { log, broker } = await start();
    const error = new TidemarkError({
      reason: Reason.OFFSET_OUT_OF_RANGE,
      message: "the log begins at 9",
      logStart: 9n,
      topic: "orders",
      partition: 0,
    });
    broker(1).fetch = () => {
      throw error;
    };
    await expect(log.fetch({ topic: "orders", partitions: [{ partition: 0 }] })).rejects.toMatchObject({
      reason: error.reason,
      message: error.message,
      fields: error.fields,
    });
    expect(broker(1).fetched).toHaveLength(1);
  });

  it("asks again where the connection broke, since reading twice does no harm", async () => {
    const { log, broker } = await start();
    let attempts = 0;
    broker(1).fetch = (request) => {
      attempts += 1;
      if (attempts > 1) return having(1)(request);
      throw new TidemarkError({ reason: Reason.UNAVAILABLE, message: "lost", outcome: Outcome.UNKNOWN });
    };
    const { partitions } = await log.fetch({ topic: "orders", partitions: [{ partition: 0 }] });
    expect(partitions[0]?.records).toHaveLength(1);
  });

  it.each([
    { says: "a topic that is not there", request: { topic: "nope" }, reason: Reason.UNKNOWN_TOPIC },
    {
      says: "a partition that is not there",
      request: { topic: "orders", partitions: [{ partition: 2 }] },
      reason: Reason.UNKNOWN_PARTITION,
    },
    {
      says: "one partition twice",
      request: { topic: "orders", partitions: [{ partition: 1 }, { partition: 1 }] },
      reason: Reason.INVALID_ARGUMENT,
    },
  ])("is refused for $says", async ({ request, reason }) => {
    const { log } = await start();
    await expect(log.fetch(request)).rejects.toMatchObject({ reason });
  });

  it("54: is given up at the leaders when its caller vanishes", async () => {
    const { log, broker } = await start();
    const ended: string[] = [];
    broker(1).fetch = (_, { signal }) => {
      signal.addEventListener("abort", () => ended.push((signal.reason as TidemarkError).message), { once: true });
      return untilAborted(signal);
    };
    const abort = new AbortController();
    const fetch = log.fetch(
      { topic: "orders", partitions: [{ partition: 0 }], maxWaitMs: 60_000 },
      { signal: abort.signal },
    );
    await waitFor("the fetch to arrive", () => broker(1).fetched.length === 1);
    abort.abort();
    await expect(fetch).rejects.toMatchObject({ reason: Reason.CANCELLED });
    await waitFor("the leader to be told", () => ended.length === 1);
  });

  it("says of each of several partitions that the caller's time was up", async () => {
    const { log, broker } = await start();
    for (const each of [broker(1), broker(2)]) each.fetch = (_, { signal }) => untilAborted(signal);
    const { partitions } = await log.fetch({ topic: "orders" }, { timeoutMs: 3_000 });
    expect(partitions.map(({ error }) => error?.reason)).toEqual([Reason.DEADLINE_EXCEEDED, Reason.DEADLINE_EXCEEDED]);
  });

  it("49: ends in time where the way to a leader has gone silent", async () => {
    const { log, broker, controller } = world;
    const [, port] = broker(1).endpoint.split(":");
    const proxy = await createTcpProxy({ target: { port: Number(port) } });
    proxy.forward("toClient", "hold");
    controller.register(9, `127.0.0.1:${proxy.port}`);
    await start({ leads: [{ partition: 0, leader: 9, leaderEpoch: 1 }] });
    const fetch = log.fetch(
      { topic: "orders", partitions: [{ partition: 0 }] },
      { timeoutMs: Number.POSITIVE_INFINITY },
    );
    await expect(fetch).rejects.toMatchObject({ reason: Reason.DEADLINE_EXCEEDED });
    await proxy.close();
  });
});

describe("offsets", () => {
  it("are listed by every leader, in the order in which partitions were named", async () => {
    const { log, broker } = await start();
    for (const each of [broker(1), broker(2)]) {
      each.others.listOffsets = (request) => ({
        offsets: request.partitions.map((partition) => ({ partition, offset: BigInt(each.id * 10) })),
      });
    }
    const { offsets } = await log.listOffsets({ topic: "orders", partitions: [1, 0] });
    expect(offsets.map(({ partition, offset }) => [partition, offset])).toEqual([
      [1, 20n],
      [0, 10n],
    ]);
  });

  it("of one partition that failed are told as its error beside the others'", async () => {
    const { log, broker } = await start();
    broker(1).others.listOffsets = () => ({ offsets: [{ partition: 0, offset: 3n }] });
    broker(2).others.listOffsets = () => {
      throw new TidemarkError({ reason: Reason.LOG_TRUNCATED, message: "cut" });
    };
    const { offsets } = await log.listOffsets({ topic: "orders" });
    expect(offsets).toMatchObject([{ offset: 3n }, { error: { reason: Reason.LOG_TRUNCATED }, message: "cut" }]);
  });

  it("that a broker is silent about are a defect, told as such", async () => {
    const { log, broker } = await start();
    broker(1).others.listOffsets = () => ({ offsets: [] });
    await expect(log.listOffsets({ topic: "orders", partitions: [0] })).rejects.toMatchObject({
      reason: Reason.INTERNAL,
    });
  });

  it("are explained by the leader", async () => {
    const { log, broker } = await start();
    broker(2).others.explainOffset = ({ offset }) => ({ explanation: `about ${offset}` });
    const answer = await log.explainOffset({ topic: "orders", partition: 1, offset: 5n });
    expect(answer.explanation).toBe("about 5");
  });

  it("and sizes of logs are described by their leaders", async () => {
    const { log, broker } = await start();
    for (const each of [broker(1), broker(2)]) {
      each.others.describeLog = (request) => ({
        logs: request.partitions.map((partition) => ({ partition, broker: each.id })),
      });
    }
    const { logs } = await log.describeLog({ topic: "orders" });
    expect(logs.map((each) => [each.partition, each.broker])).toEqual([
      [0, 1],
      [1, 2],
    ]);
  });
});
