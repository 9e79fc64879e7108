import { describeSwarm } from "./report.ts";
import type { RunResult } from "./result.ts";

/** What a process that runs simulations tells the one that was called. */
export type Told =
  | { readonly kind: "run"; readonly result: RunResult; readonly coreMs: number }
  | { readonly kind: "switch"; readonly isRight: boolean };

/** Adds up what several processes tell. */
export interface Tally {
  take(told: Told): void;
  /** Undefined where a single thing was run, which has told everything by itself. */
  describe(): string | undefined;
}

export function createTally(): Tally {
  const results: RunResult[] = [];
  const switches: boolean[] = [];
  let coreMs = 0;
  return {
    take(told) {
      switch (told.kind) {
        case "run":
          results.push(told.result);
          coreMs += told.coreMs;
          return;
        case "switch":
          switches.push(told.isRight);
          return;
      }
    },
    describe() {
      if (switches.length > 1) return `${switches.filter(Boolean).length} of ${switches.length} as it should be`;
      return results.length > 1 ? describeSwarm(results, coreMs) : undefined;
    },
  };
}
