import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { startTicker } from "./ticker.ts";

function start() {
  const time = createManualTime();
  const ticks: number[] = [];
  const ticker = startTicker(time, () => ticks.push(time.clock.monotonicMs()));
  return { time, ticks, ticker };
}

describe("the ticker of a broker", () => {
  it("ticks ten times a second until it is stopped", async () => {
    const { time, ticks, ticker } = start();
    await time.advance(350);
    expect(ticks).toEqual([100, 200, 300]);
    ticker.stop();
    await time.advance(1000);
    expect(ticks).toHaveLength(3);
    expect(time.pending()).toBe(0);
  });

  it("ticks in between when it is asked to, once for all that ask for about the same time", async () => {
    const { time, ticks, ticker } = start();
    for (const atMs of [33, 25, 21, 30]) ticker.wakeAt(atMs);
    await time.advance(99);
    expect(ticks).toEqual([30]);
    await time.advance(101);
    expect(ticks).toEqual([30, 100, 200]);
  });

  it("ticks soon for a time that has passed, and for an earlier one than it was asked for before", async () => {
    const { time, ticks, ticker } = start();
    await time.advance(150);
    ticker.wakeAt(190);
    ticker.wakeAt(20);
    await time.advance(1);
    expect(ticks).toEqual([100, 150]);
    ticker.wakeAt(165);
    ticker.stop();
    await time.advance(1000);
    expect(ticks).toEqual([100, 150]);
  });
});
