import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { directoryId } from "@tidemark/ids";
import { RaftMessageSchema } from "@tidemark/proto/raft/v1";
import { logIndex, type Membership, type Message, term } from "@tidemark/raft";
import { describe, expect, it, test } from "vitest";
import { fromWire, MalformedMessageError, toWire } from "./message-codec.ts";

const [a, b] = [1, 2].map((n) => directoryId(`00000000-0000-4000-8000-00000000000${n}`)) as [never, never];
const at = (index: number, ofTerm: number) => ({ index: logIndex(index), term: term(ofTerm) });
const envelope = { from: a, to: b, term: term(7) };
const membership: Membership = {
  voters: [{ id: a, address: "1@a.test:4651" }],
  learners: [{ id: b, address: "2@b.test:4651" }],
};
const snapshot = { ...at(2 ** 40, 6), membership, sizeBytes: 3 };

const messages: readonly Message[] = [
  { kind: "preVoteRequest", ...envelope, forTerm: term(8), last: at(5, 6) },
  { kind: "preVoteResponse", ...envelope, forTerm: term(8), granted: true },
  { kind: "voteRequest", ...envelope, last: at(0, 0), transfer: true },
  { kind: "voteResponse", ...envelope, granted: false },
  {
    kind: "appendRequest",
    ...envelope,
    toVoter: true,
    previous: at(5, 6),
    entries: [
      { kind: "noop", ...at(6, 7) },
      { kind: "batch", ...at(7, 7), data: Uint8Array.of(1, 2, 3) },
      { kind: "membership", ...at(8, 7), membership },
    ],
    commit: logIndex(5),
  },
  { kind: "appendAccepted", ...envelope, match: logIndex(8) },
  { kind: "appendRejected", ...envelope, previous: logIndex(9), hint: at(4, 3) },
  { kind: "heartbeat", ...envelope, toVoter: false, commit: logIndex(8), round: 12 },
  { kind: "heartbeatResponse", ...envelope, round: 12 },
  { kind: "snapshotChunk", ...envelope, toVoter: true, snapshot, offset: 1, data: Uint8Array.of(9) },
  { kind: "snapshotChunkResponse", ...envelope, snapshot: snapshot.index, nextOffset: 2 },
  { kind: "staleTerm", ...envelope },
  { kind: "timeoutNow", ...envelope },
  { kind: "readRequest", ...envelope, context: "life/1" },
  { kind: "readResponse", ...envelope, context: "life/1", index: logIndex(8) },
];

test.each(messages)("$kind comes back as it was sent", (message) => {
  const bytes = Buffer.from(toBinary(RaftMessageSchema, toWire(message)));
  expect(fromWire(fromBinary(RaftMessageSchema, bytes))).toEqual(message);
});

describe("a message that nothing of ours sent", () => {
  const valid = { from: a, to: b, term: 1n };
  const position = { index: 1n, term: 1n };
  it.each([
    ["says nothing", { ...valid }],
    ["comes from nobody", { ...valid, from: "me", body: { case: "staleTerm" as const, value: {} } }],
    ["is of a term beyond all numbers", { ...valid, term: 2n ** 60n, body: { case: "staleTerm" as const, value: {} } }],
    ["asks for a vote without a log", { ...valid, body: { case: "voteRequest" as const, value: {} } }],
    [
      "has an entry without a place",
      { ...valid, body: { case: "appendRequest" as const, value: { previous: position, entries: [{}] } } },
    ],
    ["has a piece of no snapshot", { ...valid, body: { case: "snapshotChunk" as const, value: {} } }],
  ])("is not taken up: %s", (_, init) => {
    expect(() => fromWire(create(RaftMessageSchema, init))).toThrow(MalformedMessageError);
  });
});
