/**
 * Takes up one message: first what its term means (Raft 5.1), then what it says.
 *
 * | message's term | from a leader, or asking for votes                              | answers |
 * |----------------|-----------------------------------------------------------------|---------|
 * | newer          | follow in that term; but a vote request that would depose a leader who is heard, and pre-votes, change nothing | follow in that term |
 * | same           | taken up                                                        | taken up |
 * | older          | told the newer term                                             | ignored  |
 */
import { handlePreVoteResponse, handleVoteResponse } from "./campaign.ts";
import { handleAppendRequest, handleHeartbeat, handleTimeoutNow } from "./follower.ts";
import { emit, type Machine, send } from "./machine.ts";
import type { Message } from "./messages.ts";
import { handleReadRequest, handleReadResponse } from "./read-index.ts";
import { handleAppendAccepted, handleAppendRejected, handleHeartbeatResponse, noteContact } from "./replication.ts";
import { handleSnapshotChunk } from "./snapshot-receiving.ts";
import { handleChunkResponse } from "./snapshot-sending.ts";
import { becomeFollower } from "./transitions.ts";
import { handlePreVoteRequest, handleVoteRequest, leaderIsHeard, refuseVote } from "./votes.ts";

export function step(machine: Machine, message: Message): void {
  if (machine.lostEntries) return;
  if (message.to !== machine.id && machine.guards.emptyDiskNeverVotes) {
    emit(machine, { kind: "messageRefused", from: message.from, message: message.kind, reason: "otherDirectory" });
    return;
  }
  machine.refusedTick.delete(message.from);
  if (message.kind === "preVoteRequest") return handlePreVoteRequest(machine, message);
  if (message.term > machine.term && !takeNewerTerm(machine, message)) return;
  // Answers to a pre-vote come from nodes of older terms too: they name the term that was asked for.
  if (message.kind === "preVoteResponse") return handlePreVoteResponse(machine, message);
  if (message.term < machine.term) return answerOlderTerm(machine, message);
  takeUp(machine, message);
}

/** False when the newer term must not be taken up. */
function takeNewerTerm(machine: Machine, message: Message): boolean {
  if (message.kind === "voteRequest" && !message.transfer && leaderIsHeard(machine)) {
    emit(machine, { kind: "messageRefused", from: message.from, message: message.kind, reason: "leaderIsHeard" });
    return false;
  }
  becomeFollower(machine, message.term, undefined, "newerTerm");
  return true;
}

function answerOlderTerm(machine: Machine, message: Exclude<Message, { kind: "preVoteRequest" }>): void {
  switch (message.kind) {
    case "voteRequest":
      return refuseVote(machine, message.from, "oldTerm");
    case "appendRequest":
    case "heartbeat":
    case "snapshotChunk":
      return send(machine, { kind: "staleTerm", from: machine.id, to: message.from, term: machine.term });
    default:
  }
}

function takeUp(machine: Machine, message: Exclude<Message, { kind: "preVoteRequest" | "preVoteResponse" }>): void {
  switch (message.kind) {
    case "voteRequest":
      return handleVoteRequest(machine, message);
    case "voteResponse":
      return handleVoteResponse(machine, message);
    case "appendRequest":
      return handleAppendRequest(machine, message);
    case "heartbeat":
      return handleHeartbeat(machine, message);
    case "snapshotChunk":
      return handleSnapshotChunk(machine, message);
    case "timeoutNow":
      return handleTimeoutNow(machine, message);
    case "readRequest":
      return handleReadRequest(machine, message);
    case "readResponse":
      return handleReadResponse(machine, message);
    case "appendAccepted":
    case "appendRejected":
    case "heartbeatResponse":
    case "snapshotChunkResponse":
      return takeAnswer(machine, message);
    case "staleTerm":
      // Its term has told everything.
      return;
  }
}

type FollowerAnswer = Extract<
  Message,
  { kind: "appendAccepted" | "appendRejected" | "heartbeatResponse" | "snapshotChunkResponse" }
>;

function takeAnswer(machine: Machine, message: FollowerAnswer): void {
  const { role } = machine;
  if (role.kind !== "leader") return;
  switch (message.kind) {
    case "appendAccepted":
      return handleAppendAccepted(machine, role, message);
    case "appendRejected":
      return handleAppendRejected(machine, role, message);
    case "heartbeatResponse":
      return handleHeartbeatResponse(machine, role, message);
    case "snapshotChunkResponse": {
      const progress = noteContact(machine, role, message.from);
      if (progress !== undefined) handleChunkResponse(progress, message);
    }
  }
}
