import type { HrTime } from "@opentelemetry/api";
import type { Clock } from "@tidemark/runtime";

/** The wall clock has moved on its own when it is further from where it was expected than this. */
const jumpMs = 5;
/** A wall clock ticks once a millisecond: within two of them a tick is seen. */
const searchMs = 2;
/** A process that is not run between its two readings of a tick sees it late: of so many the earliest counts. */
const ticks = 4;
/** So many readings that are all the same: time stands still, as in a simulation, and no tick will come. */
const stillReadings = 1000;

/** Turns a monotonic reading, in milliseconds with fractions, into the time since 1970 that spans carry. */
export type ToEpoch = (monotonicMs: number) => HrTime;

/**
 * Spans are measured by the monotonic clock, so that a jump of the wall clock bends no duration, and shown at wall
 * time, so that those of several processes line up. The wall clock shows whole milliseconds only; the anchor between
 * the two is taken at one of its ticks, which is exact to microseconds. It is taken again after the wall clock jumped.
 */
export function createWallAnchor(clock: Clock): ToEpoch {
  let offsetMs = findOffset(clock);
  return (monotonicMs) => {
    const drift = clock.wallMs() - Math.floor(clock.monotonicMs() + offsetMs);
    if (Math.abs(drift) > jumpMs) offsetMs = findOffset(clock);
    return toHrTime(monotonicMs + offsetMs);
  };
}

/** A tick that is seen late makes the offset less than it is, and nothing makes it more. */
function findOffset(clock: Clock): number {
  let offset = clock.wallMs() - clock.monotonicMs();
  for (let tick = 0; tick < ticks; tick++) {
    const seen = offsetAtTick(clock);
    if (seen === undefined) break;
    offset = Math.max(offset, seen);
  }
  return offset;
}

/** Undefined where no tick came. */
function offsetAtTick(clock: Clock): number | undefined {
  const first = clock.wallMs();
  const begin = clock.monotonicMs();
  let now = begin;
  for (let still = 0; still < stillReadings && now < begin + searchMs; still++) {
    const wall = clock.wallMs();
    if (wall !== first) return wall - clock.monotonicMs();
    const before = now;
    now = clock.monotonicMs();
    if (now !== before) still = 0;
  }
  return undefined;
}

function toHrTime(epochMs: number): HrTime {
  const micros = Math.round(epochMs * 1000);
  const seconds = Math.floor(micros / 1_000_000);
  return [seconds, (micros - seconds * 1_000_000) * 1000];
}
