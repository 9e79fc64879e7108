import { describeSwarm } from "./report.ts";
import type { RunResult } from "./result.ts";

/** What a process that runs simulations tells the one that was called. */
export type Told =
  | { readonly kind: "begin"; readonly seed: number }
  | { readonly kind: "run"; readonly result: RunResult; readonly coreMs: number }
  | { readonly kind: "switch"; readonly isRight: boolean };

/** Adds up what several processes tell. */
export interface Tally {
  take(told: Told): void;
  /** Undefined where a single thing was run to its end, which has told everything by itself. */
  describe(): string | undefined;
}

export function createTally(): Tally {
  const underWay = new Set<number>();
  const results: RunResult[] = [];
  const switches: boolean[] = [];
  let coreMs = 0;
  return {
    take(told) {
      switch (told.kind) {
        case "begin":
          underWay.add(told.seed);
          return;
        case "run":
          underWay.delete(told.result.seed);
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
      const lines = [
        ...(results.length > 1 ? [describeSwarm(results, coreMs)] : []),
        ...Array.from(underWay, describeLost),
      ];
      return lines.length === 0 ? undefined : lines.join("\n");
    },
  };
}

/** Else a range of which half was never run would look clean. */
function describeLost(seed: number): string {
  return `seed ${seed} was not run to its end: its process ended, and ran nothing behind it`;
}
