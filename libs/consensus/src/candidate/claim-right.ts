/**
 * Who may claim, where the keys do not say it alone.
 *
 * By default every candidate may that finds `/controller` free. Where the store elects one of its nodes, winning that
 * election is the right to claim, and the first claim of a term is made over whomever `/controller` names.
 */
export interface ClaimRight {
  /** The term in which this process may claim. Undefined: it may not, and does not lead. */
  term(): ElectedTerm | undefined;
  /** Called with each change of `term`. */
  onChange(changed: () => void): void;
  /** What the candidate makes of it, called with each change. */
  report(standing: CandidateStanding): void;
}

export interface ElectedTerm {
  /** The least epoch that a claim of this term has. */
  readonly term: number;
  /** Whether the term was won against whoever `/controller` names. */
  readonly overLeaders: boolean;
}

/**
 * | standing   | meaning                                                        |
 * |------------|----------------------------------------------------------------|
 * | outside    | not joined, or closed                                          |
 * | ready      | would lead, as soon as it is registered                        |
 * | standsBack | resigned, and leaves the place to a rival                      |
 * | leading    | leads, and has announced it                                    |
 */
export type CandidateStanding = "outside" | "ready" | "standsBack" | "leading";

/** Of a store that elects nobody itself. */
export function anyoneMayClaim(): ClaimRight {
  const always: ElectedTerm = { term: 1, overLeaders: false };
  return { term: () => always, onChange: () => {}, report: () => {} };
}
