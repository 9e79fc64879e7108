import type { LeaderEpoch, Offset } from "@tidemark/ids";
import type { ReplicaResponse, TraceEvent } from "@tidemark/replication";
import type { ReplicaState } from "./replica-state.ts";

/** What a replica cut in the leader epoch of its newest metadata, for the receipt of an unclean election (D3). */
export interface TruncationRecord {
  readonly leaderEpoch: LeaderEpoch;
  /** The log end before the first cut, and the lowest cut. Undefined: nothing was cut. */
  cut: { readonly logEnd: Offset; readonly firstOffset: Offset } | undefined;
  /** The log end when the replica was first seen to agree with the leader. Undefined: not yet. */
  agreedAt: Offset | undefined;
}

/** Takes note of a cut. */
export function noteCut(
  replica: ReplicaState,
  event: Extract<TraceEvent, { readonly kind: "truncated" | "restarted" }>,
): void {
  const record = recordOf(replica);
  if (record === undefined) return;
  const to = event.kind === "truncated" ? event.to : event.at;
  const logEnd = record.cut?.logEnd ?? event.from;
  const before = record.cut?.firstOffset ?? logEnd;
  record.cut = { logEnd, firstOffset: to < before ? to : before };
}

/** Records that a leader sends say that the log agrees with its own, up to where it was asked from. */
export function noteAgreement(replica: ReplicaState, response: ReplicaResponse): void {
  if (response.content.kind !== "records") return;
  const record = recordOf(replica);
  if (record !== undefined && response.leaderEpoch === record.leaderEpoch) record.agreedAt ??= replica.log.logEndOffset;
}

/** What the replica cut to agree with the leader that it follows. Undefined: it does not agree yet. */
export function truncationOf(
  replica: ReplicaState,
): { readonly leaderEpoch: LeaderEpoch; readonly firstOffset: Offset; readonly logEnd: Offset } | undefined {
  const { machine, metadata, log, truncation } = replica;
  if (metadata === undefined) return undefined;
  const { leaderEpoch } = metadata;
  // A leader cuts nothing.
  if (machine.role === "leader") return { leaderEpoch, firstOffset: log.logEndOffset, logEnd: log.logEndOffset };
  if (truncation?.leaderEpoch !== leaderEpoch || truncation.agreedAt === undefined) return undefined;
  return { leaderEpoch, ...(truncation.cut ?? { firstOffset: truncation.agreedAt, logEnd: truncation.agreedAt }) };
}

/** Begins anew with each leader epoch: cuts of an older one belong to another election. */
function recordOf(replica: ReplicaState): TruncationRecord | undefined {
  const leaderEpoch = replica.metadata?.leaderEpoch;
  if (leaderEpoch === undefined) return undefined;
  if (replica.truncation?.leaderEpoch !== leaderEpoch) {
    replica.truncation = { leaderEpoch, cut: undefined, agreedAt: undefined };
  }
  return replica.truncation;
}
