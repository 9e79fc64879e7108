import { describe, expect, it } from "vitest";
import { below, createManualTime, createNodeRuntime, createSeededRandom, delay, pick, randomUuid } from "./index.ts";

describe("manual time", () => {
  it("runs tasks in the order of their time, then of their making", async () => {
    const time = createManualTime();
    const ran: string[] = [];
    time.scheduler.after(20, () => ran.push("20"));
    time.scheduler.after(10, () => ran.push("10 first"));
    time.scheduler.after(10, () => ran.push("10 second"));
    await time.advance(15);
    expect(ran).toEqual(["10 first", "10 second"]);
    await time.advance(5);
    expect(ran).toEqual(["10 first", "10 second", "20"]);
  });

  it("shows the time of the task while the task runs", async () => {
    const time = createManualTime(1000);
    const seen: number[] = [];
    time.scheduler.after(7, () => seen.push(time.clock.monotonicMs(), time.clock.wallMs()));
    await time.advance(100);
    expect(seen).toEqual([7, 1007]);
  });

  it("does not run what was cancelled", async () => {
    const time = createManualTime();
    let ran = false;
    time.scheduler.after(1, () => (ran = true))();
    await time.advance(10);
    expect(ran).toBe(false);
    expect(time.pending()).toBe(0);
  });
});

describe("delay", () => {
  it("ends with the signal's reason and leaves no timer", async () => {
    const time = createManualTime();
    const abort = new AbortController();
    const waiting = delay(time.scheduler, 1000, abort.signal);
    abort.abort(new Error("stopped"));
    await expect(waiting).rejects.toThrow("stopped");
    expect(time.pending()).toBe(0);
  });

  it("refuses at once under a signal that is aborted already", async () => {
    const time = createManualTime();
    await expect(delay(time.scheduler, 1000, AbortSignal.abort(new Error("stopped")))).rejects.toThrow("stopped");
    expect(time.pending()).toBe(0);
  });
});

describe("random", () => {
  it("repeats itself from the same seed, and only from the same seed", () => {
    const draw = (seed: number) => Array.from({ length: 5 }, createSeededRandom(seed).next);
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  it("draws whole numbers below the limit and reaches each of them", () => {
    const random = createSeededRandom(7);
    const drawn = new Set(Array.from({ length: 200 }, () => below(random, 5)));
    expect([...drawn].sort()).toEqual([0, 1, 2, 3, 4]);
    expect(pick(random, [])).toBeUndefined();
  });

  it.each([
    ["seeded", createSeededRandom(3)],
    ["real", createNodeRuntime().random],
  ])("makes version 4 UUIDs (%s)", (_, random) => {
    expect(randomUuid(random)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});
