import type { Timing } from "@tidemark/raft";
import { below, type Random } from "@tidemark/runtime";

/** Of one node, in milliseconds; the same at each. */
export interface NodeTiming {
  /** The shortest election timeout; a follower waits up to twice as long, by chance. */
  readonly electionTimeoutMs: number;
  /** At most a fifth of it. */
  readonly heartbeatMs: number;
}

export const defaultTiming: NodeTiming = { electionTimeoutMs: 500, heartbeatMs: 100 };

const ticksPerHeartbeat = 4;
/** Election timeouts without a word from a candidate's node until its session ends. */
const sessionTimeouts = 4;

/** The durations that follow from them, in milliseconds. */
export interface Durations extends NodeTiming {
  readonly tickMs: number;
  /** How long a leader believes in itself, from when the round was sent that a majority answered. */
  readonly leaseMs: number;
  /** Without a word from a candidate's node for so long, its session ends. */
  readonly sessionTimeoutMs: number;
  /** A process that stood still longer starts its observations anew. */
  readonly stallMs: number;
}

/**
 * The lease ends before any voter helps to elect another: a voter waits for the election timeout after it heard the
 * leader, which is later than the leader's message was sent. A tick is left for the coarseness of its waiting, and a
 * tenth for clocks of different speed.
 */
export function durationsOf(timing: NodeTiming): Durations {
  const tickMs = timing.heartbeatMs / ticksPerHeartbeat;
  return {
    ...timing,
    tickMs,
    leaseMs: timing.electionTimeoutMs * 0.9 - tickMs,
    sessionTimeoutMs: timing.electionTimeoutMs * sessionTimeouts,
    stallMs: timing.electionTimeoutMs / 4,
  };
}

/** The same in ticks, as the protocol counts them. */
export function ticksOf(durations: Durations, random: Random): Timing {
  const electionTicksMin = Math.ceil(durations.electionTimeoutMs / durations.tickMs);
  return {
    heartbeatTicks: ticksPerHeartbeat,
    electionTicksMin,
    drawElectionTicks: () => electionTicksMin + below(random, electionTicksMin + 1),
  };
}
