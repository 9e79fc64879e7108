import { setFlagsFromString } from "node:v8";

/**
 * By how much the heap grows until the next full collection, in percent of what was left by the one before: to four times
 * that, the most that V8 itself would allow where it sees a program allocate fast.
 *
 * The buffers of messages count as heap here. A broker has a small heap and passes large buffers on; left to itself V8
 * collects all of the heap each time a few megabytes of buffers went by.
 */
const growthPercent = 300;

/** Takes effect from the next collection on. */
export function collectLessOften(): void {
  setFlagsFromString(`--heap-growing-percent=${growthPercent}`);
}
