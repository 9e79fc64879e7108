import type { BrokerId } from "@tidemark/ids";
import type { ReplicaState } from "./replica-state.ts";

/** How a follower stands, as its leader sees it. */
export interface FollowerStanding {
  /** For how long it has not been caught up. */
  readonly lagMs: number;
  readonly lagRecords: number;
  /** How long ago it was heard. Undefined: not by this leader. */
  readonly lastFetchMs: number | undefined;
}

/** Undefined for who is no replica here, or where this broker does not lead. */
export type FollowerStandings = (follower: BrokerId) => FollowerStanding | undefined;

export function standingOf(
  { shared, machine, heardMs }: ReplicaState,
  follower: BrokerId,
): FollowerStanding | undefined {
  const nowMs = shared.clock.monotonicMs();
  const { leadership, logEnd } = machine.view(nowMs);
  const standing = leadership?.replicas.find(({ replica }) => replica === follower);
  if (standing === undefined) return undefined;
  const heard = heardMs?.get(follower);
  return {
    lagMs: standing.lagMs,
    lagRecords: Number(logEnd - (standing.flushed ?? 0n)),
    lastFetchMs: heard === undefined ? undefined : nowMs - heard,
  };
}
