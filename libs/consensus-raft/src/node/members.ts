/**
 * Members, as the consensus interface has them. A voter is added as a learner first and promoted when it has caught up,
 * so that no commit ever waits for what it has not fetched.
 */
import {
  type CandidateIdentity,
  LinkLostError,
  type Member,
  type MemberChange,
  type MemberChangeOutcome,
  type MemberRefusalReason,
} from "@tidemark/consensus";
import type { ChangeOutcome, ChangeRefusal, Membership, MembershipChange, Member as RaftMember } from "@tidemark/raft";
import { formatAddress, parseAddress } from "./address.ts";
import type { RaftNode } from "./node.ts";

/** How long a member to be may take to catch up before whoever asked is told that it still does, in milliseconds. */
const catchUpMs = 30_000;

/** Voters and learners in the order of their ids. Those that live say themselves where they are reached. */
export function describeMembers(
  { voters, learners }: Membership,
  living: readonly CandidateIdentity[],
): readonly Member[] {
  const describe = (voter: boolean) => (member: RaftMember) => {
    const found = living.find(({ directoryId }) => directoryId === member.id);
    const identity = { ...parseAddress(member.address), directoryId: member.id };
    return { ...(found ?? identity), voter, alive: found !== undefined };
  };
  return [...voters.map(describe(true)), ...learners.map(describe(false))].sort(
    (left, right) => left.controllerId - right.controllerId,
  );
}

/** Leaders only. A change that was begun before is gone on with. */
export async function changeMembers(
  node: RaftNode,
  change: MemberChange,
  signal: AbortSignal,
): Promise<MemberChangeOutcome> {
  try {
    const refusal = change.kind === "addVoter" ? await add(node, change.member, signal) : await remove(node, change);
    return refusal ?? { kind: "changed", members: describeMembers(node.raft.status().membership, livingIn(node)) };
  } catch (error) {
    if (error instanceof LinkLostError) return { kind: "unknown", message: error.message };
    throw error;
  }
}

type Refusal = MemberChangeOutcome & { readonly kind: "refused" };

async function add(node: RaftNode, member: CandidateIdentity, signal: AbortSignal): Promise<Refusal | undefined> {
  const { voters, learners } = node.raft.status().membership;
  const id = member.directoryId;
  const namesake = [...voters, ...learners].find(
    (known) => known.id !== id && parseAddress(known.address).controllerId === member.controllerId,
  );
  if (namesake !== undefined) {
    const message = `controller ${member.controllerId} is a member with the directory ${namesake.id}: remove that one first`;
    return refused("INVALID_MEMBER", message);
  }
  if (voters.some((known) => known.id === id)) return undefined;
  if (!learners.some((known) => known.id === id)) {
    const address = formatAddress(member);
    const refusal = await carryOut(node, { kind: "addLearner", member: { id, address } });
    if (refusal !== undefined) return refusal;
  }
  return promote(node, id, signal);
}

async function promote(node: RaftNode, id: RaftMember["id"], signal: AbortSignal): Promise<Refusal | undefined> {
  const giveUpAtMs = node.runtime.clock.monotonicMs() + catchUpMs;
  for (;;) {
    const refusal = await carryOut(node, { kind: "promote", id });
    if (refusal?.reason !== "CHANGE_IN_PROGRESS") return refusal;
    if (signal.aborted || node.failure() !== undefined || node.runtime.clock.monotonicMs() > giveUpAtMs) return refusal;
    await node.changed.next(signal);
  }
}

async function remove(
  node: RaftNode,
  { controllerId, directoryId, force = false }: MemberChange & { readonly kind: "removeVoter" },
): Promise<Refusal | undefined> {
  const { voters, learners } = node.raft.status().membership;
  const found = [...voters, ...learners].find(({ id }) => id === directoryId);
  if (found === undefined || parseAddress(found.address).controllerId !== controllerId) {
    return refused("INVALID_MEMBER", `controller ${controllerId} with the directory ${directoryId} is no member`);
  }
  const refusal = await carryOut(node, { kind: "remove", id: directoryId, force });
  if (refusal?.reason !== "NO_LIVING_MAJORITY") return refusal;
  return refused(refusal.reason, `${refusal.message}: ${silentBut(node, directoryId)}`);
}

/** The voters that would stay and are not heard, by name. */
function silentBut({ id: own, raft }: RaftNode, leaving: RaftMember["id"]): string {
  const { membership, followers } = raft.status();
  const heard = new Set([own, ...followers.filter(({ isHeard }) => isHeard).map(({ id }) => id)]);
  return membership.voters
    .filter(({ id }) => id !== leaving && !heard.has(id))
    .map(({ address }) => `controller ${parseAddress(address).controllerId}`)
    .join(", ");
}

/** Proposes one step and waits until it is committed. */
async function carryOut(node: RaftNode, change: MembershipChange): Promise<Refusal | undefined> {
  const outcome: ChangeOutcome = node.raft.proposeMembership(change);
  if (outcome.kind === "refused") return refused(reasons[outcome.reason], messages[outcome.reason]);
  const end = node.proposals.wait(outcome.position);
  node.pump();
  const answer = await end;
  if (answer.kind !== "committed") throw new LinkLostError("the leadership was lost over the change");
  return undefined;
}

const reasons: Readonly<Record<ChangeRefusal, MemberRefusalReason>> = {
  NOT_LEADER: "NOT_LEADER",
  TRANSFERRING: "CHANGE_IN_PROGRESS",
  CHANGE_IN_PROGRESS: "CHANGE_IN_PROGRESS",
  TERM_NOT_COMMITTED: "CHANGE_IN_PROGRESS",
  NOT_CAUGHT_UP: "CHANGE_IN_PROGRESS",
  ALREADY_MEMBER: "INVALID_MEMBER",
  UNKNOWN_MEMBER: "INVALID_MEMBER",
  LAST_VOTER: "INVALID_MEMBER",
  NO_LIVING_MAJORITY: "NO_LIVING_MAJORITY",
};

const messages: Readonly<Record<ChangeRefusal, string>> = {
  NOT_LEADER: "another controller leads: ask that one",
  TRANSFERRING: "leadership is being handed over: ask again in a moment",
  CHANGE_IN_PROGRESS: "another change of the members is not committed yet: ask again in a moment",
  TERM_NOT_COMMITTED: "this leader was elected a moment ago: ask again in a moment",
  NOT_CAUGHT_UP:
    "the new member is a learner that still fetches what there was before it: ask again to make it a voter",
  ALREADY_MEMBER: "it is a member already",
  UNKNOWN_MEMBER: "it is no member",
  LAST_VOTER: "it is the last voter: without it nobody could be elected ever again",
  NO_LIVING_MAJORITY:
    "without it no majority of the voters lives and nothing would be decided any more. Use force, or start or remove first who is silent",
};

function refused(reason: MemberRefusalReason, message: string): Refusal {
  return { kind: "refused", reason, message };
}

/** The candidates that are known to live, by their sessions. */
function livingIn(node: RaftNode): readonly CandidateIdentity[] {
  const living = new Set(node.replica.sessions().values());
  const { voters, learners } = node.raft.status().membership;
  return [...voters, ...learners]
    .filter(({ id }) => living.has(id))
    .map(({ id, address }) => ({ ...parseAddress(address), directoryId: id }));
}
