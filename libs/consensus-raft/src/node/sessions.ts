/**
 * The leader's watch over the sessions of candidates (C7).
 *
 * | session of                                  | is ended when                                                     |
 * |---------------------------------------------|-------------------------------------------------------------------|
 * | this node                                   | its candidate closed, or it belongs to an earlier life            |
 * | a member that was heard                     | nothing came from it for the session timeout                      |
 * | a member whose port refuses                 | at once: its process is gone                                      |
 * | a node that is no member any more           | at once                                                           |
 *
 * A new leader counts from its own election, so that nobody is judged by what a predecessor did not hear.
 */
import type { NodeId, RaftStatus } from "@tidemark/raft";
import type { Durations } from "./timing.ts";

export interface SessionWatch {
  /** False: that was known, and nothing came from it since. */
  noteRefused(peer: NodeId): boolean;
  noteHeard(peer: NodeId): void;
  /** The sessions that are to be ended. */
  overdue(status: RaftStatus, sessions: ReadonlyMap<string, NodeId>): readonly string[];
}

export function createSessionWatch(durations: Durations, isOwnLive: (session: string) => boolean): SessionWatch {
  const refused = new Set<NodeId>();
  const isOver = (status: RaftStatus, session: string, node: NodeId): boolean => {
    if (node === status.id) return !isOwnLive(session);
    const follower = status.followers.find(({ id }) => id === node);
    if (follower === undefined || refused.has(node)) return true;
    return follower.lastContactTicks * durations.tickMs > durations.sessionTimeoutMs;
  };
  return {
    noteRefused(peer) {
      if (refused.has(peer)) return false;
      refused.add(peer);
      return true;
    },
    noteHeard: (peer) => refused.delete(peer),
    overdue: (status, sessions) =>
      [...sessions].filter(([session, node]) => isOver(status, session, node)).map(([session]) => session),
  };
}
