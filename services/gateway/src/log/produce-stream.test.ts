import { Outcome, Reason } from "@tidemark/proto/common/v1";
import type { ProduceStreamResult } from "@tidemark/proto/log/v1";
import { LogService } from "@tidemark/proto/log/v1";
import { encodeBatch, portableCrc32c } from "@tidemark/record";
import { openRawStream, type RawStream, TidemarkError, toErrorDetail } from "@tidemark/rpc";
import { waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createSpanRecorder } from "../testing/span-recorder.ts";
import { startWorld, type World } from "../testing/world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const batchOf = (valueBytes: number) =>
  encodeBatch([{ timestamp: 1n, key: null, value: new Uint8Array(valueBytes), headers: [] }], {
    crc32c: portableCrc32c,
  });
const batches = batchOf(10);
const idempotent = encodeBatch([{ timestamp: 1n, key: null, value: new Uint8Array(10), headers: [] }], {
  crc32c: portableCrc32c,
  producer: { id: 7n, epoch: 0, sequence: 0 },
});
/** A few of these fill the way to a leader. */
const large = batchOf(1_000_000);
const refused = (leader?: { broker: number; endpoint: string; leaderEpoch: number }) => {
  const error = new TidemarkError({
    reason: Reason.NOT_LEADER,
    message: "elsewhere",
    ...(leader === undefined ? {} : { leader }),
  });
  return { error: toErrorDetail(error), message: error.message };
};

/** A producer's stream, with what it was told. */
function open(own = world) {
  const results: ProduceStreamResult[] = [];
  const ends: (TidemarkError | undefined)[] = [];
  const stream: RawStream<object> = openRawStream(own.channel, LogService.method.produceStream, () => ({
    onMessage: (answer) => results.push(...answer.results),
    onClose: (error) => ends.push(error),
  }));
  let sequence = 0n;
  const send = (partition: number, fields: object = {}) =>
    stream.write({ sequence: sequence++, topic: "orders", partition, batches, ...fields });
  const told = (count: number) => waitFor(`${count} results`, () => results.length >= count && results);
  return { stream, send, told, results, ends };
}

describe("a produce stream", () => {
  it("brings each message to its leader and tells of each by its sequence", async () => {
    await world.reset();
    const { send, told, stream, ends } = open();
    for (const partition of [0, 1, 0, 1]) send(partition);
    const results = await told(4);
    expect(results.map(({ sequence }) => sequence).toSorted()).toEqual([0n, 1n, 2n, 3n]);
    expect(results.every(({ error }) => error === undefined)).toBe(true);
    expect(world.brokers.map(({ streamed }) => streamed.length)).toEqual([2, 2]);
    stream.end();
    await waitFor("the stream to end", () => ends.length === 1);
    expect(ends).toEqual([undefined]);
  });

  it("passes each message's own trace on, whatever the trace of the stream", async () => {
    await world.reset();
    const own = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const { send, told, stream } = open();
    send(0, { traceparent: own });
    send(0);
    await told(2);
    expect(world.broker(1).streamed.map(({ traceparent }) => traceparent)).toEqual([own, ""]);
    stream.end();
  });

  it("ends each span that it begins for a message, whether it is stored or not", async () => {
    const { tracer, spans } = createSpanRecorder();
    const traced = await startWorld({ tracer });
    try {
      const { send, told, stream } = open(traced);
      send(0);
      send(9);
      await told(2);
      stream.end();
      expect(spans.map(({ name, ends }) => [name, ends.length])).toEqual([
        ["gateway route", 1],
        ["gateway route", 1],
      ]);
    } finally {
      await traced.stop();
    }
  });

  it("answers everything before it ends, though its producer has finished sending", async () => {
    await world.reset();
    let settle: (() => void) | undefined;
    world.broker(1).stream = () => new Promise((resolve) => (settle = () => resolve({ baseOffset: 1n })));
    const { send, stream, ends, results } = open();
    send(0);
    stream.end();
    await waitFor("the message to arrive", () => settle !== undefined);
    settle?.();
    await waitFor("the stream to end", () => ends.length === 1);
    expect(results).toHaveLength(1);
    expect(ends).toEqual([undefined]);
  });

  it("keeps the order of a partition when its leader changes under messages in flight", async () => {
    await world.reset();
    const hint = { broker: 2, endpoint: world.broker(2).endpoint, leaderEpoch: 2 };
    let taken = 0;
    world.broker(1).stream = () => (taken++ < 2 ? { baseOffset: BigInt(taken) } : refused(hint));
    const { send, told } = open();
    for (let count = 0; count < 10; count++) send(0, { batches: batchOf(100 + count) });
    const results = await told(10);
    expect(results.every(({ error }) => error === undefined)).toBe(true);
    const sizes = world.broker(2).streamed.map((message) => message.batches.length);
    expect(sizes).toEqual(Array.from({ length: 8 }, (_, index) => batchOf(102 + index).length));
  });

  it("tells at once what cannot be stored, and goes on", async () => {
    await world.reset();
    const { send, told } = open();
    send(0, { topic: "nope" });
    send(7);
    send(0, { batches: new Uint8Array() });
    send(0, { batches: new Uint8Array(70) });
    send(0);
    const results = await told(5);
    const reasons = results.toSorted((a, b) => Number(a.sequence - b.sequence)).map(({ error }) => error?.reason);
    expect(reasons).toEqual([
      Reason.UNKNOWN_TOPIC,
      Reason.UNKNOWN_PARTITION,
      Reason.INVALID_ARGUMENT,
      Reason.CORRUPT_BATCH,
      undefined,
    ]);
  });

  it("says unknown of what was in flight when the leader died, and sends none of it again", async () => {
    const own = await startWorld();
    try {
      own.broker(1).stream = () => new Promise(() => undefined);
      const { send, told } = open(own);
      send(0);
      await waitFor("the message to arrive", () => own.broker(1).streamed.length === 1);
      await own.broker(1).stop();
      own.controller.lead({ partition: 0, leader: 2, leaderEpoch: 2 });
      const [result] = await told(1);
      expect(result?.error).toMatchObject({ outcome: Outcome.UNKNOWN });
      expect(own.broker(2).streamed).toEqual([]);
      send(0);
      await told(2);
      expect(own.broker(2).streamed).toHaveLength(1);
    } finally {
      await own.stop();
    }
  });

  it("leaves a leader that does not answer once another one leads: with a producer id for that one, else as unknown", async () => {
    await world.reset();
    const frozen = () => new Promise<never>(() => undefined);
    world.broker(1).stream = frozen;
    const { send, told } = open();
    const another = open();
    send(0, { batches: idempotent });
    send(0, { batches: idempotent });
    another.send(0);
    await waitFor("the messages to arrive", () => world.broker(1).streamed.length === 3);
    world.controller.lead({ partition: 0, leader: 2, leaderEpoch: 2 });
    const results = await told(2);
    expect(results.map(({ error, baseOffset }) => [error, baseOffset])).toEqual([
      [undefined, 0n],
      [undefined, 1n],
    ]);
    const [plain] = await another.told(1);
    expect(plain?.error).toMatchObject({ reason: Reason.NOT_LEADER, outcome: Outcome.UNKNOWN });
    expect(world.broker(2).streamed).toHaveLength(2);
  });

  it("sends what waits for room on the way to a frozen leader to the next one, whoever filled the way", async () => {
    const own = await startWorld({
      leads: [
        { partition: 0, leader: 1, leaderEpoch: 1 },
        { partition: 1, leader: 1, leaderEpoch: 1 },
      ],
    });
    try {
      own.broker(1).isReading = false;
      const { send, told } = open(own);
      for (let sent = 0; sent < 7; sent++) send(1, { batches: large });
      send(0);
      await waitFor("the stream to the leader", () => own.broker(1).calls.length === 1);
      own.controller.lead({ partition: 0, leader: 2, leaderEpoch: 2 });
      const [result] = await told(1);
      expect(result).toMatchObject({ sequence: 7n, baseOffset: 0n });
      expect(result?.error).toBeUndefined();
    } finally {
      await own.stop();
    }
  });

  it("gives a message up in time while there is no leader, and says that nothing was stored", async () => {
    await world.reset({ leads: [{ partition: 0, leader: undefined, leaderEpoch: 1 }] });
    const { send, told } = open();
    send(0, { timeoutMs: 100 });
    const [result] = await told(1);
    expect(result?.error).toMatchObject({ reason: Reason.LEADER_NOT_AVAILABLE, outcome: Outcome.NOT_APPLIED });
  });

  it("54: is given up at the leaders when its producer vanishes", async () => {
    await world.reset();
    world.broker(1).stream = () => new Promise(() => undefined);
    const { send, stream } = open();
    send(0);
    await waitFor("the message to arrive", () => world.broker(1).streamed.length === 1);
    stream.end(new TidemarkError({ reason: Reason.CANCELLED, message: "leaving" }));
    const [call] = world.broker(1).calls;
    await waitFor("the leader to be told", () => call?.signal.aborted === true);
  });

  it("54: settles what is in flight when the gateway stops, and refuses the rest", async () => {
    const own = await startWorld();
    let settle: (() => void) | undefined;
    own.broker(1).stream = () =>
      new Promise((resolve) => {
        settle = () => resolve({ baseOffset: 7n });
      });
    const { send, results, ends } = open(own);
    send(0);
    await waitFor("the message to arrive", () => settle !== undefined);
    const stopped = own.server.stop(5000);
    settle?.();
    await stopped;
    await waitFor("the stream to end", () => ends.length === 1);
    expect(results.map(({ baseOffset }) => baseOffset)).toEqual([7n]);
    expect(ends[0]?.reason).toBe(Reason.SHUTTING_DOWN);
    await own.stop();
  });
});
