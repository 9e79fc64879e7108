import type { LeaderEpoch, Offset } from "@tidemark/ids";
import type { ReplicaResponse } from "@tidemark/replication";
import type { ReplicaState } from "./replica-state.ts";
import { isBehind } from "./writes.ts";

/** That a replica agrees with the leader of its newest metadata, for the receipt of an unclean election (D3). */
export interface Agreement {
  readonly leaderEpoch: LeaderEpoch;
  /** The log end when it was first seen to agree. */
  readonly logEnd: Offset;
}

/** Records that a leader sends say that the log agrees with its own, up to where it was asked from. */
export function noteAgreement(replica: ReplicaState, response: ReplicaResponse): void {
  if (response.content.kind !== "records") return;
  const leaderEpoch = replica.metadata?.leaderEpoch;
  if (leaderEpoch === undefined || response.leaderEpoch !== leaderEpoch) return;
  if (replica.agreement?.leaderEpoch === leaderEpoch) return;
  replica.agreement = { leaderEpoch, logEnd: replica.log.logEndOffset };
}

/**
 * What the replica cut until it agreed with the leader that it follows, or until it led itself: in whatever leader epochs
 * and lives of its process, since its log keeps the note. Undefined: it does not agree yet, or still cuts.
 */
export function truncationOf(
  replica: ReplicaState,
): { readonly leaderEpoch: LeaderEpoch; readonly firstOffset: Offset; readonly logEnd: Offset } | undefined {
  const { machine, metadata, log, agreement } = replica;
  if (metadata === undefined || isBehind(replica)) return undefined;
  const { leaderEpoch } = metadata;
  const agreedAt = agreement?.leaderEpoch === leaderEpoch ? agreement.logEnd : undefined;
  // A leader cuts nothing; it may have cut before.
  const settledAt = machine.role === "leader" ? log.logEndOffset : agreedAt;
  if (settledAt === undefined) return undefined;
  return { leaderEpoch, ...(log.cutNote ?? { firstOffset: settledAt, logEnd: settledAt }) };
}
