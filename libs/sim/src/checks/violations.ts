/** A promise that was broken, and when. */
export interface Violation {
  readonly atMs: number;
  /** Short and the same for every seed that finds the same: `acknowledged record lost`. */
  readonly rule: string;
  readonly details: string;
}

/** Takes what checks find. The first one ends the run. */
export interface Violations {
  readonly report: (rule: string, details: string) => void;
  readonly found: readonly Violation[];
}

export function createViolations(clock: { readonly nowMs: number }): Violations {
  const found: Violation[] = [];
  return {
    found,
    report(rule, details) {
      found.push({ atMs: clock.nowMs, rule, details });
    },
  };
}
