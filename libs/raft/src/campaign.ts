/**
 * Looking for votes (Raft 5.2; pre-vote: thesis 9.6; transfer: thesis 3.10).
 */
import type { CampaignCause } from "./events.ts";
import { type NodeId, termAfter } from "./ids.ts";
import { lead } from "./leader.ts";
import { isElectable, type Machine, send, sendPromise, votersOf } from "./machine.ts";
import type { PreVoteResponse, VoteResponse } from "./messages.ts";
import { tally } from "./quorum.ts";
import { becomeCandidate, becomeFollower, becomePreCandidate } from "./transitions.ts";

/** Stands for election, which only voters do. */
export function campaign(machine: Machine, cause: CampaignCause): void {
  if (!isElectable(machine)) return;
  if (cause === "transfer" || !machine.guards.preVote) openTerm(machine, cause);
  else askForPreVotes(machine, cause);
}

/**
 * A leader's connection was reset and its port refuses connections: its process is gone. Its followers need not wait
 * until they miss it. Once per election timeout, and not while another node that was found fit is about to do the same.
 */
export function campaignOnEvidence(machine: Machine, gone: NodeId): void {
  const { role, ticks, timing } = machine;
  if (role.kind !== "follower" || role.leader !== gone) return;
  if (ticks - machine.evidenceTick < timing.electionTicksMin) return;
  if (ticks - machine.preVotedTick < timing.electionTicksMin) return;
  machine.evidenceTick = ticks;
  campaign(machine, "evidence");
}

function askForPreVotes(machine: Machine, cause: CampaignCause): void {
  becomePreCandidate(machine, cause);
  for (const to of otherVoters(machine)) {
    send(machine, {
      kind: "preVoteRequest",
      from: machine.id,
      to,
      term: machine.term,
      forTerm: termAfter(machine.term),
      last: machine.log.last(),
    });
  }
  countPreVotes(machine);
}

export function handlePreVoteResponse(machine: Machine, message: PreVoteResponse): void {
  const { role } = machine;
  if (role.kind !== "preCandidate" || message.forTerm !== termAfter(machine.term)) return;
  role.votes.set(message.from, message.granted);
  countPreVotes(machine);
}

function countPreVotes(machine: Machine): void {
  const { role } = machine;
  if (role.kind !== "preCandidate") return;
  switch (tally(votersOf(machine), role.votes)) {
    case "won":
      return openTerm(machine, role.cause);
    case "lost":
      becomeFollower(machine, machine.term, undefined, "outvoted");
      return;
    case "pending":
  }
}

function openTerm(machine: Machine, cause: CampaignCause): void {
  becomeCandidate(machine, cause);
  for (const to of otherVoters(machine)) {
    sendPromise(machine, {
      kind: "voteRequest",
      from: machine.id,
      to,
      term: machine.term,
      last: machine.log.last(),
      transfer: cause === "transfer",
    });
  }
  countOwnVote(machine);
}

/** A candidate's own vote counts like any other: once it is flushed. */
export function countOwnVote(machine: Machine): void {
  const { role, flushes } = machine;
  if (role.kind !== "candidate" || role.votes.has(machine.id)) return;
  if (flushes.hardState > flushes.acknowledged && machine.guards.answerAfterFlush) return;
  role.votes.set(machine.id, true);
  countVotes(machine);
}

export function handleVoteResponse(machine: Machine, message: VoteResponse): void {
  const { role } = machine;
  if (role.kind !== "candidate") return;
  // A vote is given once per term: the first answer stands, whatever is doubled or overtaken.
  if (!role.votes.has(message.from)) role.votes.set(message.from, message.granted);
  countVotes(machine);
}

function countVotes(machine: Machine): void {
  const { role } = machine;
  if (role.kind !== "candidate") return;
  switch (tally(votersOf(machine), role.votes)) {
    case "won":
      return lead(machine);
    case "lost":
      becomeFollower(machine, machine.term, undefined, "outvoted");
      return;
    case "pending":
  }
}

function otherVoters(machine: Machine): NodeId[] {
  return votersOf(machine)
    .map((voter) => voter.id)
    .filter((id) => id !== machine.id);
}
