/** What a partition takes from the configuration. Times are milliseconds. */
export interface ReplicationSettings {
  /** `replica.lag.time.max.ms`: how long a member's flushed offset may lag before its removal is proposed (R5). */
  readonly lagTimeMaxMs: number;
  /** `replica.lag.records.max`: how many records it may lag. Undefined: any number (R5). */
  readonly lagRecordsMax: number | undefined;
  /**
   * A leader that was told no time for longer stood still itself: nobody was observed meanwhile, and that time is held
   * against no member. Above the longest pause between two ticks. Infinity: never.
   */
  readonly stallMs: number;
  /** `broker.session.timeout.ms`: a leader that has heard nobody for longer fences itself. */
  readonly sessionTimeoutMs: number;
  /** `unclean.leader.election.enable`: decides whether a leader that is alone in ISR and ELR may be replaced. */
  readonly uncleanElection: boolean;
  /** Pause before a proposal is sent again, and before a replica that was refused is proposed again. */
  readonly proposalRetryMs: number;
  /**
   * Pause of a follower after its first error answer; it doubles with each more, up to `fetchRetryMs`. After an election
   * the new leader may hear of it a moment later than its followers, and acks wait for them.
   */
  readonly fetchRetryFirstMs: number;
  /** The longest pause of a follower after an error answer. */
  readonly fetchRetryMs: number;
  /** A fetch without any answer for longer is asked again in a new session. Above `replica.fetch.wait.max.ms`. */
  readonly fetchTimeoutMs: number;
  /** `replica.fetch.wait.max.ms`: how long a leader may hold a fetch back that has nothing to read. */
  readonly fetchWaitMaxMs: number;
}

/** The documented defaults. */
export const defaultSettings: ReplicationSettings = Object.freeze({
  lagTimeMaxMs: 10_000,
  lagRecordsMax: undefined,
  stallMs: Number.POSITIVE_INFINITY,
  sessionTimeoutMs: 6_000,
  uncleanElection: false,
  proposalRetryMs: 1_000,
  fetchRetryFirstMs: 10,
  fetchRetryMs: 100,
  fetchTimeoutMs: 2_000,
  fetchWaitMaxMs: 500,
});
