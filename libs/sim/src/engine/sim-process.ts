import type { Cancel, Random, Runtime } from "@tidemark/runtime";
import type { Engine } from "./engine.ts";

/**
 * What reaches a process from outside. A process that stood still runs the timers that fell due before it reads what
 * arrived, as Node does, and verdicts that wait for input after that.
 */
export type Arrival = "timer" | "input" | "afterInput";

/** One life of a process: from its start to its end nothing else decides when its code runs. */
export interface SimProcess {
  readonly name: string;
  readonly runtime: Runtime;
  /** Milliseconds since the start of the run, whatever its own clocks show. */
  nowMs(): number;
  readonly isAlive: boolean;
  readonly isPaused: boolean;
  /** Lets `task` run in the process after `delayMs`: late while it is paused, never once it is dead. */
  arrive(arrival: Arrival, delayMs: number, task: () => void): Cancel;
  /** As `arrive` without a delay, from within an event: at once unless the process is paused. */
  enter(arrival: Arrival, task: () => void): void;
  /** It runs nothing until it is resumed. */
  pause(): void;
  resume(): void;
  /** It never runs anything again. */
  kill(): void;
  /** Sets the wall clock forward or back. */
  skewWallClock(byMs: number): void;
}

interface Waiting {
  readonly arrival: Arrival;
  task: (() => void) | undefined;
}

const order: readonly Arrival[] = ["timer", "input", "afterInput"];

/** One turn of a process's event loop, in milliseconds: what is to run after the input runs so much later. */
const turnMs = 0.02;

/** A rate is so many parts of this: a power of two, so that what a clock shows is exact and no timer fires early by it. */
const rateParts = 1024;

/** The rate nearest to this one that a clock can have: 1.01 gains 10 ms a second. */
export function clockRateNear(rate: number): number {
  return Math.round(rate * rateParts) / rateParts;
}

/**
 * `wallStartMs`: what its wall clock showed at the start of the run, in milliseconds since 1970. `clockRate`: how fast its
 * clocks run, from `clockRateNear`; absent: as time does.
 */
export function createSimProcess(
  engine: Engine,
  options: {
    readonly name: string;
    readonly random: Random;
    readonly wallStartMs: number;
    readonly clockRate?: number;
  },
): SimProcess {
  const { clockRate = 1 } = options;
  let skewMs = 0;
  let waiting: Waiting[] = [];
  /** Only so many were let go: what waited before is run before what comes while it is run. */
  let draining = 0;

  const wait = (arrival: Arrival, task: () => void): Waiting => {
    const entry = { arrival, task };
    waiting.push(entry);
    return entry;
  };
  const drainNext = () => {
    if (!process.isAlive || process.isPaused) {
      draining = 0;
      return;
    }
    const next = waiting.shift();
    draining = waiting.length;
    if (draining > 0) engine.after(0, drainNext);
    next?.task?.();
  };

  // Plain fields: what runs in a process looks at them at every event.
  const process: SimProcess & { isAlive: boolean; isPaused: boolean } = {
    name: options.name,
    isAlive: true,
    isPaused: false,
    nowMs: () => engine.nowMs,
    runtime: {
      random: options.random,
      clock: {
        monotonicMs: () => engine.nowMs * clockRate,
        wallMs: () => Math.floor(options.wallStartMs + skewMs + engine.nowMs * clockRate),
      },
      scheduler: {
        // As Node's timers: whole milliseconds, at least one.
        after: (delayMs, task) => process.arrive("timer", Math.max(1, Math.trunc(delayMs)) / clockRate, task),
        afterInput: (task) => process.arrive("afterInput", turnMs, task),
      },
    },
    arrive(arrival, delayMs, task) {
      let entry: Waiting | undefined;
      const cancel = engine.after(delayMs, () => {
        if (!process.isAlive) return;
        if (process.isPaused || draining > 0) entry = wait(arrival, task);
        else task();
      });
      return () => {
        cancel();
        if (entry !== undefined) entry.task = undefined;
      };
    },
    enter(arrival, task) {
      if (!process.isAlive) return;
      if (process.isPaused || draining > 0) wait(arrival, task);
      else task();
    },
    pause() {
      process.isPaused = true;
    },
    resume() {
      if (!process.isPaused) return;
      process.isPaused = false;
      waiting = order.flatMap((arrival) => waiting.filter((entry) => entry.arrival === arrival));
      draining = waiting.length;
      if (draining > 0) engine.after(0, drainNext);
    },
    kill() {
      process.isAlive = false;
      waiting = [];
    },
    skewWallClock(byMs) {
      skewMs += byMs;
    },
  };
  return process;
}
