import { expect, test } from "vitest";
import { createWallAnchor } from "./wall-anchor.ts";

/** A clock whose readings cost 0.01 ms each; the wall shows whole milliseconds of `wallStartMs` plus what passed. */
function tickingClock(wallStartMs: number) {
  let now = 100;
  let wallShift = 0;
  const read = () => (now += 0.01);
  return {
    clock: { monotonicMs: read, wallMs: () => Math.floor(wallStartMs + (read() - 100) + wallShift) },
    jumpWall: (byMs: number) => {
      wallShift += byMs;
    },
    advance: (byMs: number) => {
      now += byMs;
    },
  };
}
const toMs = ([seconds, nanos]: [number, number]) => seconds * 1000 + nanos / 1e6;

test("spans stand at wall time to a fraction of the millisecond that the wall clock shows", () => {
  const { clock } = tickingClock(1_700_000_000_000.7);
  const toEpoch = createWallAnchor(clock);
  expect(Math.abs(toMs(toEpoch(150)) - 1_700_000_000_050.7)).toBeLessThan(0.1);
});

test("ticks that were seen late count for nothing beside one that was not", () => {
  const { clock, advance } = tickingClock(1_700_000_000_000.7);
  let last = clock.wallMs();
  let late = 10;
  const stalling = {
    ...clock,
    wallMs: () => {
      const wall = clock.wallMs();
      // The process is not run for a while behind the first ticks that it sees.
      if (wall !== last && late > 0) {
        late -= 1;
        advance(0.8);
      }
      last = wall;
      return wall;
    },
  };
  expect(Math.abs(toMs(createWallAnchor(stalling)(150)) - 1_700_000_000_050.7)).toBeLessThan(0.1);
});

test("a process that is not run while it looks for a tick looks for the next one", () => {
  const { clock, advance } = tickingClock(1_700_000_000_000.7);
  let readings = 0;
  const stalling = {
    ...clock,
    wallMs: () => {
      const wall = clock.wallMs();
      readings += 1;
      // In the midst of the search for the first tick, before it came.
      if (readings === 4) advance(3);
      return wall;
    },
  };
  expect(Math.abs(toMs(createWallAnchor(stalling)(150)) - 1_700_000_000_050.7)).toBeLessThan(0.1);
});

test("a process that is not run between two readings is no wall clock that was set", () => {
  const { clock, advance } = tickingClock(1_700_000_000_000.7);
  let stallMs = 0;
  /** Once before and once behind each reading of the wall. */
  const stalling = (isBefore: boolean) => ({
    ...clock,
    wallMs: () => {
      if (isBefore) advance(stallMs);
      const wall = clock.wallMs();
      if (!isBefore) advance(stallMs);
      return wall;
    },
  });
  for (const isBefore of [true, false]) {
    stallMs = 0;
    const toEpoch = createWallAnchor(stalling(isBefore));
    const anchored = toEpoch(150);
    stallMs = 80;
    expect(toEpoch(150)).toEqual(anchored);
  }
});

test("a monotonic distance stays what it is", () => {
  const { clock } = tickingClock(1_700_000_000_000);
  const toEpoch = createWallAnchor(clock);
  expect(toMs(toEpoch(200.25)) - toMs(toEpoch(100))).toBeCloseTo(100.25, 2);
});

test("the anchor follows a wall clock that was set, forwards and backwards, and no other movement", () => {
  const { clock, jumpWall, advance } = tickingClock(1_700_000_000_000);
  const toEpoch = createWallAnchor(clock);
  const before = toMs(toEpoch(100));
  advance(60_000);
  expect(toMs(toEpoch(100))).toBe(before);
  jumpWall(3_600_000);
  expect(toMs(toEpoch(100)) - before).toBeCloseTo(3_600_000, 0);
  jumpWall(-7_200_000);
  expect(toMs(toEpoch(100)) - before).toBeCloseTo(-3_600_000, 0);
});

test("what has begun ends by the anchor that it began with, also where the wall clock is set meanwhile", () => {
  for (const byMs of [3_600_000, -3_600_000]) {
    const { clock, jumpWall } = tickingClock(1_700_000_000_000);
    const toEpoch = createWallAnchor(clock).held();
    const began = toMs(toEpoch(100));
    jumpWall(byMs);
    expect(toMs(toEpoch(110.25)) - began).toBeCloseTo(10.25, 2);
  }
});

test("time that stands still is no reason to wait", () => {
  let readings = 0;
  const still = (value: number) => () => {
    readings += 1;
    return value;
  };
  const toEpoch = createWallAnchor({ monotonicMs: still(5), wallMs: still(1_700_000_000_123) });
  expect(toMs(toEpoch(7))).toBeCloseTo(1_700_000_000_125, 3);
  expect(readings).toBeLessThan(5000);
});

test("nanoseconds never reach a whole second", () => {
  const toEpoch = createWallAnchor({ monotonicMs: () => 0, wallMs: () => 1_700_000_000_999 });
  expect(toEpoch(0.9999999)).toEqual([1_700_000_001, 0]);
});
