import type { BrokerId } from "@tidemark/ids";
import type { PartitionState } from "./partition-state.ts";

/** When a leader last had a sign that it may still lead. Milliseconds of the monotonic clock. */
export interface LastHeard {
  readonly controllerMs: number;
  /** A fetch of a follower in this leader epoch. */
  readonly followerMs: number;
  readonly electedMs: number;
}

/**
 * A leader stops serving when it has heard neither a controller nor a follower of its leader epoch for a session
 * timeout: somebody else may lead by then. One that stands alone in ISR and ELR cannot be replaced, unless unclean
 * election is on, and counts as heard. Returns how long it has been silent when it has to stop, else undefined.
 */
export function silenceThatFences(
  heard: LastHeard,
  leader: {
    readonly self: BrokerId;
    readonly state: PartitionState;
    readonly nowMs: number;
    readonly sessionTimeoutMs: number;
    readonly uncleanElection: boolean;
  },
): number | undefined {
  const silentMs = leader.nowMs - Math.max(heard.controllerMs, heard.followerMs, heard.electedMs);
  if (silentMs <= leader.sessionTimeoutMs) return undefined;
  const { isr, elr } = leader.state;
  const alone = isr.every((member) => member === leader.self) && elr.every((member) => member === leader.self);
  return alone && !leader.uncleanElection ? undefined : silentMs;
}
