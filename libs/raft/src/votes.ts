/**
 * Giving votes (Raft figure 2 "RequestVote", 5.4.1, section 6).
 *
 * 1. One vote per term, flushed before it is told.
 * 2. Only to a log that is at least as up to date as the own one.
 * 3. Nobody is deposed who was heard a moment ago: within the shortest election timeout after a leader's message, votes
 *    and pre-votes are refused, unless the leader asked for the election itself or its port refuses connections.
 * 4. A pre-vote promises nothing and changes nothing.
 * 5. An empty disk has no vote: it does not know whom it voted for, nor what it acknowledged.
 *
 * Whether this node counts as a voter in its own log does not matter: it may not have heard of its promotion.
 */
import type { VoteRefusal } from "./events.ts";
import { isUpToDate, type NodeId, type Position, samePosition } from "./ids.ts";
import { emit, knownLeader, type Machine, send, sendPromise, setHardState } from "./machine.ts";
import type { PreVoteRequest, VoteRequest } from "./messages.ts";
import { becomeFollower } from "./transitions.ts";

/** Whether this node heard from a living leader within the shortest election timeout, or leads itself. */
export function leaderIsHeard(machine: Machine): boolean {
  const { role, ticks, timing } = machine;
  if (role.kind === "leader") return true;
  if (role.kind !== "follower" || role.leader === undefined) return false;
  return ticks - role.heardTick < timing.electionTicksMin && !isRefused(machine, role.leader);
}

function isRefused(machine: Machine, peer: NodeId): boolean {
  const at = machine.refusedTick.get(peer);
  return at !== undefined && machine.ticks - at < machine.timing.electionTicksMin;
}

export function handlePreVoteRequest(machine: Machine, message: PreVoteRequest): void {
  const refusal = preVoteRefusal(machine, message);
  if (refusal === undefined) {
    machine.preVotedTick = machine.ticks;
    emit(machine, { kind: "preVoted", forTerm: message.forTerm, candidate: message.from });
  } else {
    emit(machine, { kind: "voteRefused", candidate: message.from, reason: refusal, preVote: true });
  }
  send(machine, {
    kind: "preVoteResponse",
    from: machine.id,
    to: message.from,
    term: machine.term,
    forTerm: message.forTerm,
    granted: refusal === undefined,
  });
  if (refusal === undefined && outranks(machine, message)) {
    becomeFollower(machine, machine.term, undefined, "gaveWay");
  }
}

function preVoteRefusal(machine: Machine, message: PreVoteRequest): VoteRefusal | undefined {
  if (message.forTerm <= machine.term) return "oldTerm";
  if (leaderIsHeard(machine)) return "leaderIsHeard";
  return logRefusal(machine, message.last);
}

/**
 * Of two nodes that look for pre-votes at once, and would split the votes, the one with the lesser log or id gives way
 * and waits for a full election timeout.
 */
function outranks(machine: Machine, rival: PreVoteRequest): boolean {
  if (machine.role.kind !== "preCandidate") return false;
  return !samePosition(rival.last, machine.log.last()) || rival.from > machine.id;
}

/** The request's term is the current one here. */
export function handleVoteRequest(machine: Machine, message: VoteRequest): void {
  const refusal = voteRefusal(machine, message);
  if (refusal !== undefined) return refuseVote(machine, message.from, refusal);
  setHardState(machine, machine.term, message.from);
  emit(machine, { kind: "voted", term: machine.term, candidate: message.from });
  if (machine.role.kind === "follower") machine.role.waitTick = machine.ticks;
  sendPromise(machine, voteResponse(machine, message.from, true));
}

/** Also answers requests of an older term, so that the candidate learns the newer one. */
export function refuseVote(machine: Machine, candidate: NodeId, reason: VoteRefusal): void {
  emit(machine, { kind: "voteRefused", candidate, reason, preVote: false });
  send(machine, voteResponse(machine, candidate, false));
}

function voteRefusal(machine: Machine, message: VoteRequest): VoteRefusal | undefined {
  if (machine.votedFor !== undefined && machine.votedFor !== message.from) return "votedForOther";
  if (knownLeader(machine) !== undefined && machine.votedFor !== message.from) return "votedForOther";
  return logRefusal(machine, message.last);
}

function logRefusal(machine: Machine, last: Position): VoteRefusal | undefined {
  if (machine.log.isBlank() && machine.guards.emptyDiskNeverVotes) return "blank";
  return isUpToDate(last, machine.log.last()) ? undefined : "logBehind";
}

function voteResponse(machine: Machine, to: NodeId, granted: boolean) {
  return { kind: "voteResponse", from: machine.id, to, term: machine.term, granted } as const;
}
