import { Session } from "node:inspector/promises";
import { type BusyShares, busyShares } from "./busy-shares.ts";

/** A sample so often, in microseconds. */
const intervalMicroseconds = 500;

export interface Profiler {
  start(): Promise<void>;
  /** What this process's main thread was busy with since. */
  stop(): Promise<BusyShares>;
}

export function createProfiler(): Profiler {
  const session = new Session();
  session.connect();
  return {
    async start() {
      await session.post("Profiler.enable");
      await session.post("Profiler.setSamplingInterval", { interval: intervalMicroseconds });
      await session.post("Profiler.start");
    },
    async stop() {
      const { profile } = await session.post("Profiler.stop");
      // While it is enabled, V8 keeps what it would need for the next profile.
      await session.post("Profiler.disable");
      return busyShares(profile);
    },
  };
}
