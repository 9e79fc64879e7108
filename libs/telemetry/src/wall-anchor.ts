import type { HrTime } from "@opentelemetry/api";
import type { Clock } from "@tidemark/runtime";

/** The wall clock has moved on its own when it is further from where it was expected than this. */
const jumpMs = 5;
/** A wall clock ticks once a millisecond: within two of them a tick is seen. */
const searchMs = 2;
/** A process that is not run between its two readings of a tick sees it late. A tick known so closely is not. */
const closeMs = 0.05;
/** So many ticks are waited for at most, until one is known closely. */
const maxTicks = 16;
/** So many readings that are all the same: time stands still, as in a simulation, and no tick will come. */
const stillReadings = 1000;

/** Turns a monotonic reading, in milliseconds with fractions, into the time since 1970 that spans carry. */
export type ToEpoch = (monotonicMs: number) => HrTime;

export interface WallAnchor extends ToEpoch {
  /** By the anchor as it is now, whatever the wall clock does from then on: for what has begun and is yet to end. */
  held(): ToEpoch;
}

/**
 * Spans are measured by the monotonic clock, so that a jump of the wall clock bends no duration, and shown at wall
 * time, so that those of several processes line up. The wall clock shows whole milliseconds only; the anchor between
 * the two is taken at one of its ticks, which is exact to microseconds. It is taken again after the wall clock jumped.
 */
export function createWallAnchor(clock: Clock): WallAnchor {
  let offsetMs = findOffset(clock);
  const held = (): ToEpoch => {
    if (hasJumped(clock, offsetMs)) offsetMs = findOffset(clock);
    const heldMs = offsetMs;
    return (monotonicMs) => toHrTime(monotonicMs + heldMs);
  };
  return Object.assign((monotonicMs: number) => held()(monotonicMs), { held });
}

/**
 * The wall is read between two readings of the monotonic clock: however long the process was not run meanwhile, that is
 * no jump, and two spans of one process stay on one anchor.
 */
function hasJumped(clock: Clock, offsetMs: number): boolean {
  const earliest = clock.monotonicMs() + offsetMs - jumpMs;
  const wall = clock.wallMs();
  if (wall < Math.floor(earliest)) return true;
  return wall > earliest + 2 * jumpMs && wall > clock.monotonicMs() + offsetMs + jumpMs;
}

interface Tick {
  /** The most and the least that wall time less monotonic time can be. */
  readonly most: number;
  readonly least: number;
}

/** A tick that is seen late makes the offset less than it is, and nothing makes it more. */
function findOffset(clock: Clock): number {
  let offset = clock.wallMs() - clock.monotonicMs();
  for (let ticks = 0; ticks < maxTicks; ticks++) {
    const tick = nextTick(clock);
    if (tick === "still") break;
    if (tick === "missed") continue;
    offset = Math.max(offset, tick.least);
    if (tick.most - tick.least < closeMs) break;
  }
  return offset;
}

/** Missed: the process was not run for so long that the time for one was over before it looked again. */
function nextTick(clock: Clock): Tick | "missed" | "still" {
  const first = clock.wallMs();
  const begin = clock.monotonicMs();
  let before = begin;
  for (let still = 0; still < stillReadings && before < begin + searchMs; still++) {
    const wall = clock.wallMs();
    const after = clock.monotonicMs();
    if (wall !== first) return { most: wall - before, least: wall - after };
    if (after !== before) still = 0;
    before = after;
  }
  return before < begin + searchMs ? "still" : "missed";
}

function toHrTime(epochMs: number): HrTime {
  const micros = Math.round(epochMs * 1000);
  const seconds = Math.floor(micros / 1_000_000);
  return [seconds, (micros - seconds * 1_000_000) * 1000];
}
