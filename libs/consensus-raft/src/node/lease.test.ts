import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { createLease } from "./lease.ts";
import { defaultTiming, durationsOf } from "./timing.ts";

const durations = durationsOf(defaultTiming);

/** A lease whose rounds are confirmed by hand. */
function setting() {
  const time = createManualTime();
  const rounds: (() => void)[] = [];
  const changes: (number | undefined)[] = [];
  const lease = createLease({
    clock: time.clock,
    durations,
    askRound: (onConfirmed) => rounds.push(onConfirmed),
    onChange: () => changes.push(lease.term()),
  });
  return { time, rounds, changes, lease };
}

describe("a leader's lease", () => {
  it("begins when a majority confirmed a round, and counts from when that was sent", async () => {
    const { time, rounds, lease } = setting();
    lease.tick(3);
    expect(lease.term()).toBeUndefined();
    await time.advance(300);
    rounds[0]?.();
    expect(lease.term()).toBe(3);
    await time.advance(durations.leaseMs - 300);
    lease.tick(3);
    expect(lease.term()).toBeUndefined();
  });

  it("ends before a voter helps to elect another, whenever the leader's message reached it", () => {
    expect(durations.leaseMs + durations.tickMs).toBeLessThan(durations.electionTimeoutMs);
  });

  it("is nobody's belief any more when its time is over, also before anybody looked", async () => {
    const { time, rounds, lease } = setting();
    lease.tick(3);
    rounds[0]?.();
    await time.advance(durations.leaseMs);
    expect(lease.term()).toBeUndefined();
  });

  it("is not begun by a round of an earlier term", () => {
    const { rounds, lease } = setting();
    lease.tick(3);
    lease.tick(undefined);
    lease.tick(4);
    rounds[0]?.();
    expect(lease.term()).toBeUndefined();
    rounds[1]?.();
    expect(lease.term()).toBe(4);
  });

  it("ends with the leadership, and between two terms it always ends", () => {
    const { rounds, changes, lease } = setting();
    lease.tick(3);
    rounds[0]?.();
    lease.tick(5);
    rounds[1]?.();
    lease.tick(undefined);
    expect(changes).toEqual([3, undefined, 5, undefined]);
  });

  it("asks for a round with each heartbeat, and no more often", async () => {
    const { time, rounds, lease } = setting();
    for (let tick = 0; tick < 40; tick++) {
      lease.tick(3);
      await time.advance(durations.tickMs);
    }
    expect(rounds).toHaveLength(10);
  });
});
