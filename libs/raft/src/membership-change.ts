/**
 * Changing the membership, on the leader (Raft thesis 4.1, 4.2).
 *
 * 1. One change at a time: the next one waits until the last is committed.
 * 2. None before an entry of the leader's own term is committed. Otherwise two leaders, each with a change of its own on
 *    top of the same membership, could each find a majority (the erratum to the thesis).
 * 3. A learner votes only after it has caught up, so that no commit waits for it.
 * 4. A voter goes only while a majority of those that stay is heard. Otherwise the removal itself could not be committed,
 *    and the leader would step down over it. A silent voter can always go: the majority needs it no more.
 */

import type { NodeId, Position } from "./ids.ts";
import { appendOwn, nextPosition } from "./leader.ts";
import { isHeard, knownLeader, type Machine } from "./machine.ts";
import { changeMembership, type Membership, type MembershipChange, type MembershipRefusal } from "./membership.ts";
import { majorityOf } from "./quorum.ts";
import type { LeaderRole } from "./roles.ts";

/**
 * | reason             | cause                                                                  |
 * |--------------------|------------------------------------------------------------------------|
 * | NOT_LEADER         | `leader` says who is, as far as this node knows                        |
 * | TRANSFERRING       | leadership is being handed over                                        |
 * | CHANGE_IN_PROGRESS | the last change is not committed                                       |
 * | TERM_NOT_COMMITTED | this leader has not committed anything yet; a moment after its election it has |
 * | NOT_CAUGHT_UP      | the learner still fetches what there was before                        |
 * | NO_LIVING_MAJORITY | of the voters that would stay too few are heard; `force` does it all the same |
 */
export type ChangeRefusal =
  | "NOT_LEADER"
  | "TRANSFERRING"
  | "CHANGE_IN_PROGRESS"
  | "TERM_NOT_COMMITTED"
  | "NOT_CAUGHT_UP"
  | "NO_LIVING_MAJORITY"
  | MembershipRefusal;

/** Accepted means appended, and in force here, at this position. It lasts once it is committed. */
export type ChangeOutcome =
  | { readonly kind: "accepted"; readonly position: Position }
  | { readonly kind: "refused"; readonly reason: ChangeRefusal; readonly leader: NodeId | undefined };

export function proposeMembership(machine: Machine, change: MembershipChange): ChangeOutcome {
  const { role, membership } = machine;
  if (role.kind !== "leader") return refused("NOT_LEADER", knownLeader(machine));
  const early = tooEarly(machine, role);
  if (early !== undefined) return refused(early, machine.id);
  const changed = changeMembership(membership.current(), change);
  if (changed.kind === "refused") return refused(changed.reason, machine.id);
  if (change.kind === "promote" && !hasCaughtUp(machine, role, change.id)) return refused("NOT_CAUGHT_UP", machine.id);
  if (change.kind === "remove" && change.force !== true && losesMajority(machine, role, changed.membership)) {
    return refused("NO_LIVING_MAJORITY", machine.id);
  }
  const position = nextPosition(machine);
  appendOwn(machine, role, { kind: "membership", ...position, membership: changed.membership });
  return { kind: "accepted", position };
}

function tooEarly(machine: Machine, role: LeaderRole): ChangeRefusal | undefined {
  const { log, membership, guards } = machine;
  if (role.transfer !== undefined) return "TRANSFERRING";
  if (guards.changeAfterOwnTermCommit && log.committed() < role.firstIndex) return "TERM_NOT_COMMITTED";
  // Older terms' changes are committed with the first entry of this one.
  const own = membership.currentIndex() > role.firstIndex;
  return own && membership.currentIndex() > log.committed() ? "CHANGE_IN_PROGRESS" : undefined;
}

/**
 * The learner's last round of catching up was shorter than an election timeout, and so is the one that it is in
 * (thesis 4.2.1). Of one that is away, or falls behind, the current round does not end.
 */
function hasCaughtUp(machine: Machine, role: LeaderRole, id: NodeId): boolean {
  const catchUp = role.progress.get(id)?.catchUp;
  if (catchUp?.lastTicks === undefined) return false;
  return Math.max(catchUp.lastTicks, machine.ticks - catchUp.startTick) < machine.timing.electionTicksMin;
}

/** Whether a voter would go and too few of the others are heard. */
function losesMajority(machine: Machine, role: LeaderRole, { voters }: Membership): boolean {
  if (voters.length === machine.membership.current().voters.length) return false;
  const isThere = (id: NodeId) => {
    const progress = role.progress.get(id);
    return progress === undefined ? id === machine.id : isHeard(machine, id, progress);
  };
  return voters.filter(({ id }) => isThere(id)).length < majorityOf(voters.length);
}

function refused(reason: ChangeRefusal, leader: NodeId | undefined): ChangeOutcome {
  return { kind: "refused", reason, leader };
}
