import type { Guards } from "./guards.ts";
import type { NodeId } from "./ids.ts";
import type { StartState } from "./start-state.ts";

/** Durations, in ticks. The driver decides how long a tick lasts and keeps their pace by its monotonic clock. */
export interface Timing {
  /** Between two heartbeats of a leader; at least 1. */
  readonly heartbeatTicks: number;
  /** The shortest election timeout; at least five heartbeats. Within it nobody helps to depose a leader it hears. */
  readonly electionTicksMin: number;
  /** Draws an election timeout, at least `electionTicksMin`. Called each time a node begins to wait for a leader. */
  readonly drawElectionTicks: () => number;
}

export interface Limits {
  /** Bytes of entries in one append. A single entry that is larger goes alone. */
  readonly appendBytesMax: number;
  /** Appends in flight to one follower. */
  readonly inflightMessagesMax: number;
  /** Bytes of entries in flight to one follower; passed by at most one append. */
  readonly inflightBytesMax: number;
  /** Bytes of proposals that are not committed yet; more are refused. */
  readonly uncommittedBytesMax: number;
  /** Reads that wait; more are refused. */
  readonly pendingReadsMax: number;
  /** Bytes of one piece of a snapshot. */
  readonly snapshotChunkBytesMax: number;
  /** Bytes of committed entries handed out at once. */
  readonly applyBytesMax: number;
}

export const defaultLimits: Limits = {
  appendBytesMax: 256 * 1024,
  inflightMessagesMax: 64,
  inflightBytesMax: 4 * 1024 * 1024,
  uncommittedBytesMax: 64 * 1024 * 1024,
  pendingReadsMax: 10_000,
  snapshotChunkBytesMax: 256 * 1024,
  applyBytesMax: 4 * 1024 * 1024,
};

export interface RaftOptions {
  /** The id of the disk that `start` was read from. */
  readonly id: NodeId;
  readonly start: StartState;
  readonly timing: Timing;
  /** Those that are missing have their default. */
  readonly limits?: Partial<Limits>;
  /** For tests that show what a rule is good for. */
  readonly guards?: Partial<Guards>;
}

/** Throws a RangeError that names the rule which the settings break. */
export function checkTiming(timing: Timing): void {
  if (!Number.isInteger(timing.heartbeatTicks) || timing.heartbeatTicks < 1) {
    throw new RangeError(`A heartbeat takes at least one tick, not ${timing.heartbeatTicks}`);
  }
  if (timing.electionTicksMin < 5 * timing.heartbeatTicks) {
    throw new RangeError(
      `An election timeout of ${timing.electionTicksMin} ticks is less than five heartbeats of ${timing.heartbeatTicks}`,
    );
  }
}
