import type { NodeId } from "@tidemark/raft";
import type { RaftNode } from "./node.ts";

/** The quorum as one of its members sees it. */
export interface Quorum {
  readonly term: number;
  /** Up to this index everything is committed, as far as is known here. */
  readonly commit: number;
  /** Those that a leader replicates to, and itself. Empty at everybody else. */
  readonly members: ReadonlyMap<NodeId, MemberProgress>;
}

/** How far a member has come, as its leader sees it. */
export interface MemberProgress {
  /** Flushed there, and as the leader's, up to this index. */
  readonly match: number;
  /** Entries behind the leader's log. */
  readonly lag: number;
  readonly lastContactMs: number;
}

export function quorumOf({ id, raft, durations }: RaftNode): Quorum {
  const { role, term, committed, last, flushed, followers } = raft.status();
  const members = new Map<NodeId, MemberProgress>();
  if (role === "leader") members.set(id, { match: flushed, lag: last.index - flushed, lastContactMs: 0 });
  for (const { id: follower, match, lastContactTicks } of followers) {
    members.set(follower, { match, lag: last.index - match, lastContactMs: lastContactTicks * durations.tickMs });
  }
  return { term, commit: committed, members };
}
