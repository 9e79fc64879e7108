/**
 * Who takes part. One change at a time, each by one member (Raft thesis 4.1), so that the majorities of any two
 * neighbouring memberships overlap. A node follows the newest membership in its log, committed or not.
 *
 * | change     | before               | after   |
 * |------------|----------------------|---------|
 * | addLearner | no member            | learner |
 * | promote    | learner, caught up   | voter   |
 * | remove     | learner or voter     | no member; the last voter stays |
 */
import type { NodeId } from "./ids.ts";

export interface Member {
  readonly id: NodeId;
  /** Where the others reach it. Means nothing to the protocol. */
  readonly address: string;
}

export interface Membership {
  /** Count for elections, commits and reads. */
  readonly voters: readonly Member[];
  /** Receive everything and count for nothing. */
  readonly learners: readonly Member[];
}

/** Of a node with an empty disk, which knows of nobody. */
export const noMembership: Membership = { voters: [], learners: [] };

export type MembershipChange =
  | { readonly kind: "addLearner"; readonly member: Member }
  | { readonly kind: "promote"; readonly id: NodeId }
  /** `force`: also where no majority of the voters that stay is heard, so that nothing commits until they are back. */
  | { readonly kind: "remove"; readonly id: NodeId; readonly force?: boolean };

/**
 * | reason         | cause                                        |
 * |----------------|----------------------------------------------|
 * | ALREADY_MEMBER | the id takes part already                    |
 * | UNKNOWN_MEMBER | nobody of this id, or nothing to promote     |
 * | LAST_VOTER     | without it nobody could be elected ever again |
 */
export type MembershipRefusal = "ALREADY_MEMBER" | "UNKNOWN_MEMBER" | "LAST_VOTER";

export type ChangedMembership =
  | { readonly kind: "changed"; readonly membership: Membership }
  | { readonly kind: "refused"; readonly reason: MembershipRefusal };

export function isVoter(membership: Membership, id: NodeId): boolean {
  return membership.voters.some((member) => member.id === id);
}

export function isLearner(membership: Membership, id: NodeId): boolean {
  return membership.learners.some((member) => member.id === id);
}

/** The membership after `change`, or why it cannot be. */
export function changeMembership(current: Membership, change: MembershipChange): ChangedMembership {
  switch (change.kind) {
    case "addLearner": {
      const { member } = change;
      if (isVoter(current, member.id) || isLearner(current, member.id)) return refused("ALREADY_MEMBER");
      return changed({ voters: current.voters, learners: [...current.learners, member] });
    }
    case "promote": {
      const learner = current.learners.find((member) => member.id === change.id);
      if (learner === undefined) return refused(isVoter(current, change.id) ? "ALREADY_MEMBER" : "UNKNOWN_MEMBER");
      return changed({ voters: [...current.voters, learner], learners: without(current.learners, change.id) });
    }
    case "remove": {
      if (isLearner(current, change.id)) {
        return changed({ voters: current.voters, learners: without(current.learners, change.id) });
      }
      if (!isVoter(current, change.id)) return refused("UNKNOWN_MEMBER");
      if (current.voters.length === 1) return refused("LAST_VOTER");
      return changed({ voters: without(current.voters, change.id), learners: current.learners });
    }
  }
}

function without(members: readonly Member[], id: NodeId): readonly Member[] {
  return members.filter((member) => member.id !== id);
}

function changed(membership: Membership): ChangedMembership {
  return { kind: "changed", membership };
}

function refused(reason: MembershipRefusal): ChangedMembership {
  return { kind: "refused", reason };
}
