/** What keeps a candidate's promises. Tests take one out at a time and see a promise break. */
export interface CandidateGuards {
  /** A request whose answer was lost, and that is not there yet, has its place taken before it counts as not carried out. */
  readonly takeLostPlace: boolean;
  /** A watch that skipped batches while a request was on its way makes what it did not see unknown. */
  readonly mindWatchGaps: boolean;
}

export const allCandidateGuards: CandidateGuards = { takeLostPlace: true, mindWatchGaps: true };
