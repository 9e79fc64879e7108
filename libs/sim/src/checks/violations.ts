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
  /** What is wrong and may have worse to follow: it counts where nothing else is found until the end. */
  readonly reportAtEnd: (rule: string, details: string) => void;
  /** The run has come to its end. */
  readonly conclude: () => void;
  readonly found: readonly Violation[];
}

export function createViolations(clock: { readonly nowMs: number }): Violations {
  const found: Violation[] = [];
  const late: Violation[] = [];
  return {
    found,
    reportAtEnd(rule, details) {
      late.push({ atMs: clock.nowMs, rule, details });
    },
    conclude() {
      if (found.length === 0) found.push(...late);
    },
    report(rule, details) {
      found.push({ atMs: clock.nowMs, rule, details });
    },
  };
}
