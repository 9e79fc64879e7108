/**
 * Switches that take one protection each out of the elections. Production code passes none, which is all of them. The
 * simulator turns single guards off and shows that its invariants find the damage.
 */
export interface ElectionGuards {
  /** Only who has a living session, unfenced, is elected (D2, KIP-841). */
  readonly electsTheLiving: boolean;
  /** Below min ISR whoever leaves the ISR stays eligible (R13, KIP-966). */
  readonly keepsTheEligible: boolean;
  /** Nobody outside ISR and ELR is elected unless that is allowed, and then not here (D2, P5). */
  readonly staysClean: boolean;
}

/** Every protection in place. */
export const allElectionGuards: ElectionGuards = Object.freeze({
  electsTheLiving: true,
  keepsTheEligible: true,
  staysClean: true,
});
