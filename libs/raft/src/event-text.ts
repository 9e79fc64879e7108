/** The text form of events and messages: one line each, for logs and for the expected traces of scripts. */
import type { Entry } from "./entry.ts";
import type { RaftEvent } from "./events.ts";
import type { NodeId, Position } from "./ids.ts";
import type { Membership } from "./membership.ts";
import type { Message } from "./messages.ts";

/** How a node is called in the text. */
export type NameOf = (id: NodeId) => string;

/** One line, without the name of the node that it happened to. */
export function describeEvent(event: RaftEvent, nameOf: NameOf): string {
  switch (event.kind) {
    case "becameFollower": {
      const leader = event.leader === undefined ? "nobody" : nameOf(event.leader);
      return `follows ${leader} in term ${event.term}: ${event.cause}`;
    }
    case "becamePreCandidate":
      return `asks for pre-votes for term ${event.term + 1}: ${event.cause}`;
    case "becameCandidate":
      return `campaigns in term ${event.term}: ${event.cause}`;
    case "becameLeader":
      return `leads term ${event.term}, log to ${describePosition(event.last)}`;
    case "leaderFound":
      return `finds leader ${nameOf(event.leader)} of term ${event.term}`;
    case "preVoted":
      return `would vote for ${nameOf(event.candidate)} in term ${event.forTerm}`;
    case "voted":
      return `votes for ${nameOf(event.candidate)} in term ${event.term}`;
    case "voteRefused":
      return `refuses ${nameOf(event.candidate)} a ${event.preVote ? "pre-vote" : "vote"}: ${event.reason}`;
    case "appended":
      return `appends ${event.from}..${describePosition(event.last)}`;
    case "cut":
      return `cuts ${event.from}..${describePosition(event.last)}`;
    case "flushed":
      return `flushed ${event.index}`;
    case "committed":
      return `commits ${event.from}..${event.to}`;
    case "membershipChanged":
      return `membership at ${event.index}: ${describeMembership(event.membership, nameOf)}`;
    case "conflict":
      return `goes back with ${nameOf(event.follower)}: ${event.previous} does not match, next ${event.next}`;
    case "snapshotSending":
      return `sends snapshot ${event.snapshot} to ${nameOf(event.follower)}`;
    case "snapshotSent":
      return `sent snapshot ${event.snapshot} to ${nameOf(event.follower)}`;
    case "snapshotReceived":
      return `received snapshot ${describePosition(event.snapshot)}`;
    case "compacted":
      return `compacts through ${event.through}`;
    case "entriesLost":
      return `had flushed up to ${event.known} by the word of ${nameOf(event.leader)}, and has ${event.last}: takes up nothing more`;
    case "readConfirmed":
      return `confirms read ${event.context} at ${event.index}`;
    case "transferStarted":
      return `hands over to ${nameOf(event.to)}`;
    case "transferAbandoned":
      return `gives up handing over to ${nameOf(event.to)}`;
    case "messageRefused":
      return `does not take up ${event.message} of ${nameOf(event.from)}: ${event.reason}`;
  }
}

/** One line, with sender and receiver. */
export function describeMessage(message: Message, nameOf: NameOf): string {
  return `${nameOf(message.from)} -> ${nameOf(message.to)} ${message.kind} term=${message.term}${details(message)}`;
}

function details(message: Message): string {
  switch (message.kind) {
    case "preVoteRequest":
      return ` for-term=${message.forTerm} last=${describePosition(message.last)}`;
    case "preVoteResponse":
      return ` for-term=${message.forTerm} ${message.granted ? "granted" : "refused"}`;
    case "voteRequest":
      return ` last=${describePosition(message.last)}${message.transfer ? " transfer" : ""}`;
    case "voteResponse":
      return message.granted ? " granted" : " refused";
    case "appendRequest": {
      const entries = message.entries.map(describeEntry).join(" ");
      return ` previous=${describePosition(message.previous)} commit=${message.commit} [${entries}]`;
    }
    case "appendAccepted":
      return ` match=${message.match}`;
    case "appendRejected":
      return ` previous=${message.previous} hint=${describePosition(message.hint)}`;
    case "heartbeat":
      return ` commit=${message.commit} round=${message.round}`;
    case "heartbeatResponse":
      return ` round=${message.round}`;
    case "snapshotChunk": {
      const end = message.offset + message.data.byteLength;
      return ` snapshot=${describePosition(message.snapshot)} bytes=${message.offset}..${end}/${message.snapshot.sizeBytes}`;
    }
    case "snapshotChunkResponse":
      return ` snapshot=${message.snapshot} next-offset=${message.nextOffset}`;
    case "readRequest":
      return ` ${message.context}`;
    case "readResponse":
      return ` ${message.context} index=${message.index}`;
    case "staleTerm":
    case "timeoutNow":
      return "";
  }
}

/** `index/term`. */
function describePosition({ index, term }: Position): string {
  return `${index}/${term}`;
}

function describeEntry(entry: Entry): string {
  return entry.kind === "batch" ? describePosition(entry) : `${describePosition(entry)} ${entry.kind}`;
}

function describeMembership({ voters, learners }: Membership, nameOf: NameOf): string {
  const names = (members: Membership["voters"]) => members.map((member) => nameOf(member.id)).join(",");
  return `voters=(${names(voters)})${learners.length > 0 ? ` learners=(${names(learners)})` : ""}`;
}
