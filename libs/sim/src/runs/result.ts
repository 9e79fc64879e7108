import type { LedgerCounts } from "../checks/ledger.ts";
import type { Violation } from "../checks/violations.ts";

/** What came of one run. Everything in it follows from the seed. */
export interface RunResult {
  readonly seed: number;
  readonly hash: string;
  /** Empty: every promise was kept. */
  readonly violations: readonly Violation[];
  readonly simulatedMs: number;
  readonly events: number;
  readonly acknowledgedBatches: number;
  readonly elections: number;
  /** Those of them that were unclean. */
  readonly uncleanElections: number;
  /** Of the controllers' own quorum; zeros where they have none. */
  readonly quorum: QuorumCounts;
  readonly faults: ReadonlyMap<string, number>;
  readonly records: LedgerCounts;
  /** The faults, in words. */
  readonly history: readonly string[];
  /** The cluster as it stood when a promise was found broken, a line for each part. Empty where none was. */
  readonly state: readonly string[];
  /** Processes that ended by themselves. */
  readonly exits: readonly string[];
  readonly logs: readonly string[];
}

/** What the controllers' own quorum did in a run. */
export interface QuorumCounts {
  /** Terms that had a leader. */
  readonly terms: number;
  /** Entries that were committed. */
  readonly entries: number;
  /** Votes that the operator gave or took away. */
  readonly changes: number;
}

/** What a run must have done to count as one. */
export const countsFrom = {
  simulatedMs: 120_000,
  acknowledgedBatches: 2000,
  faults: 5,
  faultKinds: 3,
  elections: 2,
} as const;

export function faultsOf({ faults }: RunResult): number {
  return [...faults.values()].reduce((sum, count) => sum + count, 0);
}

/** Whether a run did enough for its being clean to say something. */
export function counts(result: RunResult): boolean {
  return (
    result.simulatedMs >= countsFrom.simulatedMs &&
    result.acknowledgedBatches >= countsFrom.acknowledgedBatches &&
    faultsOf(result) >= countsFrom.faults &&
    result.faults.size >= countsFrom.faultKinds &&
    result.elections >= countsFrom.elections
  );
}
