/**
 * What nodes say to each other. README.md has the table of who says what to whom, when, and what makes it fail.
 *
 * Every message may be lost, late, doubled and overtaken. `term` is always the sender's own term.
 */
import type { Entry } from "./entry.ts";
import type { LogIndex, NodeId, Position, Term } from "./ids.ts";
import type { SnapshotMeta } from "./start-state.ts";

interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly term: Term;
}

/** What a leader's messages have in common. */
interface FromLeader extends Envelope {
  /** Whether the leader counts the receiver as a voter: an empty disk finds out by it that it has forgotten its votes. */
  readonly toVoter: boolean;
}

/** Would you vote for me in `forTerm`? Changes nothing at either side. */
export interface PreVoteRequest extends Envelope {
  readonly kind: "preVoteRequest";
  /** The term that the sender would open: its own plus 1. */
  readonly forTerm: Term;
  readonly last: Position;
}

export interface PreVoteResponse extends Envelope {
  readonly kind: "preVoteResponse";
  readonly forTerm: Term;
  readonly granted: boolean;
}

export interface VoteRequest extends Envelope {
  readonly kind: "voteRequest";
  readonly last: Position;
  /** The leader asked for this election: voters need not wait until they miss it. */
  readonly transfer: boolean;
}

export interface VoteResponse extends Envelope {
  readonly kind: "voteResponse";
  readonly granted: boolean;
}

export interface AppendRequest extends FromLeader {
  readonly kind: "appendRequest";
  /** Of the entry before the first one. */
  readonly previous: Position;
  readonly entries: readonly Entry[];
  readonly commit: LogIndex;
}

/** All up to `match` is as the leader has it, and flushed. */
export interface AppendAccepted extends Envelope {
  readonly kind: "appendAccepted";
  readonly match: LogIndex;
}

/** There is no such previous entry. */
export interface AppendRejected extends Envelope {
  readonly kind: "appendRejected";
  /** The index of the previous entry that was asked for. */
  readonly previous: LogIndex;
  /** The last own entry that the leader may have: not behind `previous`, and of no later term than it. */
  readonly hint: Position;
}

export interface Heartbeat extends FromLeader {
  readonly kind: "heartbeat";
  /** Never beyond what the receiver is known to have. */
  readonly commit: LogIndex;
  /** Counts the rounds in which a leader asks whether it still leads. */
  readonly round: number;
}

export interface HeartbeatResponse extends Envelope {
  readonly kind: "heartbeatResponse";
  readonly round: number;
}

/** One piece of a snapshot. The leader's node leaves `data` to its driver (see `SnapshotChunkOrder`). */
export interface SnapshotChunk extends FromLeader {
  readonly kind: "snapshotChunk";
  readonly snapshot: SnapshotMeta;
  readonly offset: number;
  readonly data: Uint8Array;
}

/** Where to go on. The last piece is answered by `appendAccepted` instead, after the flush. */
export interface SnapshotChunkResponse extends Envelope {
  readonly kind: "snapshotChunkResponse";
  readonly snapshot: LogIndex;
  readonly nextOffset: number;
}

/** Answers what comes from an older term, so that its sender learns the newer one. */
export interface StaleTerm extends Envelope {
  readonly kind: "staleTerm";
}

/** Campaign now: your log is complete and I stopped taking proposals. */
export interface TimeoutNow extends Envelope {
  readonly kind: "timeoutNow";
}

export interface ReadRequest extends Envelope {
  readonly kind: "readRequest";
  readonly context: string;
}

export interface ReadResponse extends Envelope {
  readonly kind: "readResponse";
  readonly context: string;
  readonly index: LogIndex;
}

export type Message =
  | PreVoteRequest
  | PreVoteResponse
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendAccepted
  | AppendRejected
  | Heartbeat
  | HeartbeatResponse
  | SnapshotChunk
  | SnapshotChunkResponse
  | StaleTerm
  | TimeoutNow
  | ReadRequest
  | ReadResponse;

/** A piece of a snapshot to send: everything but its bytes, `[offset, offset + lengthBytes)` of the snapshot. */
export interface SnapshotChunkOrder {
  readonly header: Omit<SnapshotChunk, "data">;
  readonly lengthBytes: number;
}
