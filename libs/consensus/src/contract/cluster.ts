import type { CandidateIdentity, Consensus } from "../consensus.ts";

/** The candidates of a cluster under test. */
export const candidateNumbers = [1, 2, 3] as const;
export type CandidateNumber = (typeof candidateNumbers)[number];

/**
 * Three candidates of one store, and all that can happen to them. Each backend brings its own; none leaves a fault out.
 * A fault that takes a while to be noticed (a session's timeout) is noticed while `until` waits, or by itself.
 */
export interface ConsensusCluster {
  /** Whether voters are added and removed through `changeMembers`. */
  readonly managesMembers: boolean;
  /** The same for each start: a node with its directory. */
  identity(candidate: CandidateNumber): CandidateIdentity;
  /** Starts the candidate's process. One that was killed starts again as itself. */
  start(candidate: CandidateNumber): Promise<Consensus>;
  /** kill -9: nothing that it waits for ever resolves, and nobody is told. */
  kill(candidate: CandidateNumber): void;
  /** Kills every process, the store's own among them, with all that is not on stable storage. The store comes back. */
  powerCut(): Promise<void>;
  /** SIGSTOP: what it sends and what it should hear waits. */
  stall(candidate: CandidateNumber): void;
  resume(candidate: CandidateNumber): void;
  /** Cuts a living candidate off from the store, both ways. */
  cut(candidate: CandidateNumber): void;
  heal(candidate: CandidateNumber): void;
  /** What the store tells the candidate unasked waits, while its calls are answered. */
  holdWatch(candidate: CandidateNumber): void;
  releaseWatch(candidate: CandidateNumber): void;
  /** The candidate's next write never reaches the store, and nobody tells it so. */
  loseNextRequest(candidate: CandidateNumber): void;
  /** The candidate's next write is carried out, and nobody tells it so. */
  loseNextAnswer(candidate: CandidateNumber): void;
  /**
   * The candidate's next write is stuck on its way. Its sender gives up waiting for the answer (`deadline`, the
   * default), or waits for as long as the connection stands (`silence`).
   */
  delayNextRequest(candidate: CandidateNumber, sender?: "deadline" | "silence"): LateWrite;
  /** Puts a value behind everyone's back. `heldBy`: bound to that candidate's session. */
  plant(key: string, value: Uint8Array, options?: { readonly heldBy?: CandidateNumber }): Promise<void>;
  /** Forgets the history of changes up to now. */
  compact(): Promise<void>;
  /** Waits until the condition holds, and for as long as it takes within reason. Rejects naming `what`. */
  until(condition: () => boolean, what: string): Promise<void>;
  close(): Promise<void>;
}

export interface LateWrite {
  /** Resolves when the write is on its way. */
  readonly sent: Promise<void>;
  /** Lets it arrive. Resolves when the store has dealt with it. */
  arrive(): Promise<void>;
}

export type CreateCluster = () => Promise<ConsensusCluster>;
