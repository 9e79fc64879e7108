/** The protocol's messages on the wire. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { directoryId } from "@tidemark/ids";
import {
  type EntrySchema,
  type MembershipSchema,
  type PositionSchema,
  type RaftMessage,
  RaftMessageSchema,
  type Entry as WireEntry,
  type Membership as WireMembership,
  type Position as WirePosition,
  type SnapshotMeta as WireSnapshotMeta,
} from "@tidemark/proto/raft/v1";
import {
  type Entry,
  type LogIndex,
  logIndex,
  type Membership,
  type Message,
  type Position,
  type SnapshotMeta,
  type Term,
  term,
} from "@tidemark/raft";

/** A message that nothing of ours sent: something is missing in it, or is no number, id or membership. */
export class MalformedMessageError extends Error {
  override readonly name = "MalformedMessageError";
}

type Body = NonNullable<MessageInitShape<typeof RaftMessageSchema>["body"]>;

export function toWire(message: Message): RaftMessage {
  const { from, to, term: ofTerm } = message;
  return create(RaftMessageSchema, { from, to, term: BigInt(ofTerm), body: bodyOf(message) });
}

function bodyOf(message: Message): Body {
  switch (message.kind) {
    case "preVoteRequest":
      return { case: "preVoteRequest", value: { forTerm: BigInt(message.forTerm), last: positionOf(message.last) } };
    case "preVoteResponse":
      return { case: "preVoteResponse", value: { forTerm: BigInt(message.forTerm), granted: message.granted } };
    case "voteRequest":
      return { case: "voteRequest", value: { last: positionOf(message.last), transfer: message.transfer } };
    case "voteResponse":
      return { case: "voteResponse", value: { granted: message.granted } };
    case "appendRequest": {
      const { toVoter, previous, entries, commit } = message;
      const value = { toVoter, previous: positionOf(previous), entries: entries.map(entryOf), commit: BigInt(commit) };
      return { case: "appendRequest", value };
    }
    case "appendAccepted":
      return { case: "appendAccepted", value: { match: BigInt(message.match) } };
    case "appendRejected":
      return {
        case: "appendRejected",
        value: { previous: BigInt(message.previous), hint: positionOf(message.hint) },
      };
    case "heartbeat": {
      const { toVoter, commit, round } = message;
      return { case: "heartbeat", value: { toVoter, commit: BigInt(commit), round: BigInt(round) } };
    }
    case "heartbeatResponse":
      return { case: "heartbeatResponse", value: { round: BigInt(message.round) } };
    case "snapshotChunk": {
      const { toVoter, snapshot, offset, data } = message;
      return {
        case: "snapshotChunk",
        value: { toVoter, snapshot: snapshotOf(snapshot), offset: BigInt(offset), data },
      };
    }
    case "snapshotChunkResponse": {
      const { snapshot, nextOffset } = message;
      return { case: "snapshotChunkResponse", value: { snapshot: BigInt(snapshot), nextOffset: BigInt(nextOffset) } };
    }
    case "staleTerm":
      return { case: "staleTerm", value: {} };
    case "timeoutNow":
      return { case: "timeoutNow", value: {} };
    case "readRequest":
      return { case: "readRequest", value: { context: message.context } };
    case "readResponse":
      return { case: "readResponse", value: { context: message.context, index: BigInt(message.index) } };
  }
}

function positionOf({ index, term: ofTerm }: Position): MessageInitShape<typeof PositionSchema> {
  return { index: BigInt(index), term: BigInt(ofTerm) };
}

function entryOf(entry: Entry): MessageInitShape<typeof EntrySchema> {
  const position = positionOf(entry);
  switch (entry.kind) {
    case "noop":
      return { position };
    case "batch":
      return { position, content: { case: "batch", value: entry.data } };
    case "membership":
      return { position, content: { case: "membership", value: membershipOf(entry.membership) } };
  }
}

function membershipOf({ voters, learners }: Membership): MessageInitShape<typeof MembershipSchema> {
  return { voters: [...voters], learners: [...learners] };
}

function snapshotOf({ membership, sizeBytes, ...position }: SnapshotMeta) {
  return { position: positionOf(position), membership: membershipOf(membership), sizeBytes: BigInt(sizeBytes) };
}

/** Throws MalformedMessageError. */
export function fromWire(wire: RaftMessage): Message {
  try {
    return read(wire);
  } catch (error) {
    if (error instanceof RangeError) throw new MalformedMessageError(error.message, { cause: error });
    throw error;
  }
}

function read({ from, to, term: ofTerm, body }: RaftMessage): Message {
  const envelope = { from: directoryId(from), to: directoryId(to), term: readTerm(ofTerm) };
  switch (body.case) {
    case "preVoteRequest":
      return {
        kind: body.case,
        ...envelope,
        forTerm: readTerm(body.value.forTerm),
        last: readPosition(body.value.last),
      };
    case "preVoteResponse":
      return { kind: body.case, ...envelope, forTerm: readTerm(body.value.forTerm), granted: body.value.granted };
    case "voteRequest":
      return { kind: body.case, ...envelope, last: readPosition(body.value.last), transfer: body.value.transfer };
    case "voteResponse":
      return { kind: body.case, ...envelope, granted: body.value.granted };
    case "appendRequest": {
      const { toVoter, previous, entries, commit } = body.value;
      const read = { previous: readPosition(previous), entries: entries.map(readEntry), commit: readIndex(commit) };
      return { kind: body.case, ...envelope, toVoter, ...read };
    }
    case "appendAccepted":
      return { kind: body.case, ...envelope, match: readIndex(body.value.match) };
    case "appendRejected":
      return {
        kind: body.case,
        ...envelope,
        previous: readIndex(body.value.previous),
        hint: readPosition(body.value.hint),
      };
    case "heartbeat": {
      const { toVoter, commit, round } = body.value;
      return { kind: body.case, ...envelope, toVoter, commit: readIndex(commit), round: Number(round) };
    }
    case "heartbeatResponse":
      return { kind: body.case, ...envelope, round: Number(body.value.round) };
    case "snapshotChunk": {
      const { toVoter, snapshot, offset, data } = body.value;
      const read = { snapshot: readSnapshot(snapshot), offset: Number(offset), data: plainBytes(data) };
      return { kind: body.case, ...envelope, toVoter, ...read };
    }
    case "snapshotChunkResponse": {
      const { snapshot, nextOffset } = body.value;
      return { kind: body.case, ...envelope, snapshot: readIndex(snapshot), nextOffset: Number(nextOffset) };
    }
    case "staleTerm":
    case "timeoutNow":
      return { kind: body.case, ...envelope };
    case "readRequest":
      return { kind: body.case, ...envelope, context: body.value.context };
    case "readResponse":
      return { kind: body.case, ...envelope, context: body.value.context, index: readIndex(body.value.index) };
    case undefined:
      throw new RangeError("a message says nothing, or what a later version says");
  }
}

/** The same bytes as no Buffer, whose `slice` shares what others copy. */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function readTerm(value: bigint): Term {
  return term(Number(value));
}

function readIndex(value: bigint): LogIndex {
  return logIndex(Number(value));
}

function readPosition(wire: WirePosition | undefined): Position {
  if (wire === undefined) throw new RangeError("a message has no position");
  return { index: readIndex(wire.index), term: readTerm(wire.term) };
}

function readEntry({ position, content }: WireEntry): Entry {
  const at = readPosition(position);
  switch (content.case) {
    case undefined:
      return { kind: "noop", ...at };
    case "batch":
      return { kind: "batch", ...at, data: plainBytes(content.value) };
    case "membership":
      return { kind: "membership", ...at, membership: readMembership(content.value) };
  }
}

function readMembership(wire: WireMembership | undefined): Membership {
  if (wire === undefined) throw new RangeError("a message has no membership");
  const members = (list: WireMembership["voters"]) => list.map(({ id, address }) => ({ id: directoryId(id), address }));
  return { voters: members(wire.voters), learners: members(wire.learners) };
}

function readSnapshot(wire: WireSnapshotMeta | undefined): SnapshotMeta {
  if (wire === undefined) throw new RangeError("a message has no snapshot");
  return {
    ...readPosition(wire.position),
    membership: readMembership(wire.membership),
    sizeBytes: Number(wire.sizeBytes),
  };
}
