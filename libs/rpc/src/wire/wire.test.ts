import { Reason } from "@tidemark/proto/common/v1";
import { describe, expect, it } from "vitest";
import { TidemarkError } from "../errors/tidemark-error.ts";
import { MESSAGE_OVERHEAD_BYTES } from "./budgets.ts";
import { createByteBudget } from "./byte-budget.ts";
import { createMessageQueue } from "./message-queue.ts";
import { createQueueMeter } from "./queue-meter.ts";
import { createReadLoop } from "./read-loop.ts";
import { flatten, gather } from "./wire-bytes.ts";

describe("a byte budget", () => {
  it("counts against everything that it is a part of, or against nothing", () => {
    const whole = createByteBudget({ name: "process", limit: 100 });
    const one = createByteBudget({ name: "stream", limit: 80, parent: whole });
    const other = createByteBudget({ name: "stream", limit: 80, parent: whole });
    expect(one.take(81)).toBe(one);
    expect(one.take(70)).toBeUndefined();
    expect(other.take(31)).toBe(whole);
    expect([one.used, other.used, whole.used]).toEqual([70, 0, 70]);
    one.give(70);
    expect(other.take(31)).toBeUndefined();
    expect([one.used, other.used, whole.used]).toEqual([0, 31, 31]);
  });
});

describe("a queue meter", () => {
  const meterOf = (highWater: number) => {
    const budget = createByteBudget({ name: "stream", limit: 100_000 });
    const drained: number[] = [];
    const meter = createQueueMeter({ budget, highWater, onDrain: () => drained.push(meter.queued) });
    return { budget, drained, meter };
  };

  it("is full from the high water on, and drains once below half of it", () => {
    const { meter, drained } = meterOf(4 * (MESSAGE_OVERHEAD_BYTES + 100));
    for (let count = 0; count < 4; count++) meter.take(100);
    expect(meter.full).toBe(true);
    meter.give(100);
    expect(drained).toEqual([]);
    meter.give(100);
    meter.give(100);
    expect(drained).toEqual([2 * (MESSAGE_OVERHEAD_BYTES + 100)]);
    expect(meter.full).toBe(false);
  });

  it("counts messages without content too", () => {
    const { meter } = meterOf(1000);
    meter.take(0);
    meter.take(0);
    expect(meter.full).toBe(true);
  });

  it("counts what is still on its way when nothing more is written, and tells nobody that there is room", () => {
    const { meter, budget, drained } = meterOf(1000);
    meter.take(500);
    meter.take(500);
    meter.end();
    meter.give(500);
    expect(budget.used).toBe(500 + MESSAGE_OVERHEAD_BYTES);
    meter.give(500);
    expect([meter.queued, budget.used]).toEqual([0, 0]);
    expect(drained).toEqual([]);
  });

  it("gives everything back at its end, once", () => {
    const { meter, budget } = meterOf(1000);
    meter.take(500);
    meter.close();
    meter.give(500);
    meter.close();
    expect([meter.queued, budget.used]).toEqual([0, 0]);
  });
});

describe("a read loop", () => {
  it("does not nest its requests when the transport answers at once", () => {
    let depth = 0;
    let deepest = 0;
    let left = 10_000;
    const loop = createReadLoop(() => {
      depth += 1;
      deepest = Math.max(deepest, depth);
      if (left-- > 0) loop.received(() => undefined);
      depth -= 1;
    });
    loop.start();
    expect(left).toBe(-1);
    expect(deepest).toBe(1);
  });

  it("asks for nothing while paused, and for one message at a time", () => {
    let asked = 0;
    const loop = createReadLoop(() => (asked += 1));
    loop.pause();
    loop.start();
    expect(asked).toBe(0);
    loop.resume();
    loop.resume();
    expect(asked).toBe(1);
    loop.received(() => loop.pause());
    expect(asked).toBe(1);
  });
});

describe("a message queue", () => {
  const queueOf = () => {
    const asked: string[] = [];
    const queue = createMessageQueue<number>({ pause: () => asked.push("pause"), resume: () => asked.push("resume") });
    return { queue, asked, reader: queue[Symbol.asyncIterator]() };
  };

  it("pauses its source while a message waits that nobody has asked for", async () => {
    const { queue, asked, reader } = queueOf();
    queue.push(1);
    expect(asked).toEqual(["pause"]);
    expect(await reader.next()).toEqual({ done: false, value: 1 });
    expect(asked).toEqual(["pause"]);
    const next = reader.next();
    expect(asked).toEqual(["pause", "resume"]);
    queue.push(2);
    expect(await next).toEqual({ done: false, value: 2 });
  });

  it("hands out what came before an error, and then the error", async () => {
    const { queue, reader } = queueOf();
    const error = new TidemarkError({ reason: Reason.UNAVAILABLE, message: "gone" });
    queue.push(1);
    queue.end(error);
    queue.end();
    expect(await reader.next()).toEqual({ done: false, value: 1 });
    await expect(reader.next()).rejects.toBe(error);
  });

  it("lets its source run on when the reader has left", async () => {
    const { queue, asked, reader } = queueOf();
    queue.push(1);
    await reader.return?.();
    queue.push(2);
    expect(asked).toEqual(["pause", "resume"]);
    expect(await reader.next()).toEqual({ done: true, value: undefined });
  });
});

describe("gathered bytes", () => {
  it("are the pieces one behind the other, at any place of the target", () => {
    const bytes = gather([Uint8Array.of(1, 2), Uint8Array.of(), Uint8Array.of(3)]);
    const target = new Uint8Array(5);
    expect(bytes.copy(target, 1)).toBe(3);
    expect([...target]).toEqual([0, 1, 2, 3, 0]);
    expect([...flatten(bytes)]).toEqual([1, 2, 3]);
    expect([bytes.length, bytes.byteLength]).toEqual([3, 3]);
  });
});
