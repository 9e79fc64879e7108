/**
 * Whether a leader keeps what it won. Where its own process does not lead, another's should: leadership of the term is
 * what the right to claim `/controller` hangs on.
 *
 * | the own candidate                                        | hands over                                      |
 * |----------------------------------------------------------|-------------------------------------------------|
 * | leads, and holds `/controller`                           | no                                              |
 * | takes no part, or resigned                               | at once                                         |
 * | would claim and could, and did not for a while           | then: it is stuck, and the others are not       |
 * | leads by what it has read, and not by what is committed  | likewise                                        |
 * | stays away from a `/controller` that another node holds  | no                                              |
 * | of a sealed store                                        | only where it takes no part: nobody leads there |
 */
import type { CandidateStanding } from "@tidemark/consensus";
import { isSealed } from "@tidemark/consensus/store";
import type { NodeId, RaftStatus } from "@tidemark/raft";
import type { Clock } from "@tidemark/runtime";
import type { Replica } from "../replica/replica.ts";
import type { HandoverCause } from "./events.ts";
import type { Durations } from "./timing.ts";

export interface Handover {
  /** Who is to have the leadership when it is handed over next, if it can. */
  prefer(heir: NodeId): void;
  /** To whom this leader is to hand over now, and why. Undefined: to nobody. */
  due(
    status: RaftStatus,
    standing: CandidateStanding,
  ): { readonly to: NodeId; readonly cause: HandoverCause } | undefined;
}

export function createHandover(options: {
  readonly clock: Clock;
  readonly durations: Durations;
  readonly replica: Replica;
}): Handover {
  const { clock, durations, replica } = options;
  const stuckMs = 2 * durations.electionTimeoutMs;
  let preferred: NodeId | undefined;
  let idle: { readonly term: number; readonly sinceMs: number } | undefined;

  const causeOf = (status: RaftStatus, standing: CandidateStanding): HandoverCause | undefined => {
    if (standing === "outside" || standing === "standsBack") return standing;
    if (!isIdle(status.id, standing, replica)) {
      idle = undefined;
      return undefined;
    }
    const now = clock.monotonicMs();
    if (idle?.term !== status.term) idle = { term: status.term, sinceMs: now };
    return now - idle.sinceMs >= stuckMs ? "stuck" : undefined;
  };

  return {
    prefer(heir) {
      preferred = heir;
    },
    due(status, standing) {
      const cause = causeOf(status, standing);
      const to = cause === undefined ? undefined : heirOf(status, { replica, durations, preferred });
      if (cause === undefined || to === undefined) return undefined;
      preferred = undefined;
      return { to, cause };
    },
  };
}

/** Whether nobody leads though somebody could, as far as is committed. */
function isIdle(self: NodeId, standing: CandidateStanding, replica: Replica): boolean {
  const session = replica.get("/controller")?.session;
  const holder = session === undefined ? undefined : replica.sessions().get(session);
  if (isSealed(replica.get("/cluster")?.value)) return false;
  if (holder === undefined) return true;
  return holder === self && standing !== "leading";
}

/**
 * The preferred voter, else the next one in the order of the membership, that is heard and whose process takes part in
 * the election.
 */
function heirOf(
  { id, membership, followers }: RaftStatus,
  {
    replica,
    durations,
    preferred,
  }: { readonly replica: Replica; readonly durations: Durations; readonly preferred: NodeId | undefined },
): NodeId | undefined {
  const own = membership.voters.findIndex((voter) => voter.id === id);
  const others = [...membership.voters.slice(own + 1), ...membership.voters.slice(0, Math.max(0, own))];
  const candidates = candidatesIn(replica);
  const able = others.filter((voter) => {
    const follower = followers.find((known) => known.id === voter.id);
    if (follower === undefined || !candidates.has(voter.id)) return false;
    return follower.lastContactTicks * durations.tickMs < durations.electionTimeoutMs;
  });
  return (able.find((voter) => voter.id === preferred) ?? able[0])?.id;
}

/** The nodes whose candidates joined. */
function candidatesIn(replica: Replica): ReadonlySet<NodeId> {
  const nodes = [...replica.sessions()].filter(([session]) =>
    replica.keysOf(session).some((key) => key.startsWith("/controllers/")),
  );
  return new Set(nodes.map(([, node]) => node));
}
