import type { LogIndex, NodeId, Position, Term } from "./ids.ts";
import { isHeard, knownLeader, type Machine } from "./machine.ts";
import type { Membership } from "./membership.ts";
import type { Progress } from "./progress.ts";
import type { Role } from "./roles.ts";
import type { SnapshotMeta } from "./start-state.ts";

/** A follower or learner as the leader sees it. */
export interface FollowerStatus {
  readonly id: NodeId;
  /** All up to here is flushed there. */
  readonly match: LogIndex;
  readonly replication: Progress["replication"]["kind"];
  /** Ticks since something came from it. */
  readonly lastContactTicks: number;
  /** Something came from it in this term and within the shortest election timeout, and its port did not refuse since. */
  readonly isHeard: boolean;
}

export interface RaftStatus {
  readonly id: NodeId;
  readonly role: Role["kind"];
  readonly term: Term;
  readonly votedFor: NodeId | undefined;
  /** As far as this node knows. */
  readonly leader: NodeId | undefined;
  readonly membership: Membership;
  readonly last: Position;
  readonly flushed: LogIndex;
  readonly committed: LogIndex;
  /** Handed out to be applied. */
  readonly applied: LogIndex;
  readonly snapshot: SnapshotMeta;
  /** Empty at every node but the leader. */
  readonly followers: readonly FollowerStatus[];
}

export function statusOf(machine: Machine): RaftStatus {
  const { log, role } = machine;
  const { index, term } = log.last();
  return {
    id: machine.id,
    role: role.kind,
    term: machine.term,
    votedFor: machine.votedFor,
    leader: knownLeader(machine),
    membership: machine.membership.current(),
    last: { index, term },
    flushed: log.flushed(),
    committed: log.committed(),
    applied: log.applied(),
    snapshot: log.snapshot(),
    followers:
      role.kind === "leader" ? [...role.progress].map(([id, progress]) => follower(machine, id, progress)) : [],
  };
}

function follower(machine: Machine, id: NodeId, progress: Progress): FollowerStatus {
  return {
    id,
    match: progress.match,
    replication: progress.replication.kind,
    lastContactTicks: machine.ticks - progress.contactTick,
    isHeard: isHeard(machine, id, progress),
  };
}
