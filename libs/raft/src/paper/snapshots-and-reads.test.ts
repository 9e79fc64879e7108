/** Section 7 of the Raft paper with its figure 13, and linearizable reads as in section 6.4 of the thesis. */
import { describe, expect, it } from "vitest";
import { logIndex, noIndex, term } from "../ids.ts";
import type { SnapshotMeta } from "../start-state.ts";
import { append, at, createLoneNode, type LoneNode, say } from "../testing/lone-node.ts";
import { electionTicksMin, heartbeatTicks, idOf } from "../testing/scripted-cluster.ts";

const membership = {
  voters: ["n1", "n2", "n4"].map((name) => ({ id: idOf(name), address: name })),
  learners: [],
};
const snapshotAt = (index: number, of: number, sizeBytes = 6): SnapshotMeta => ({
  ...at(index, of),
  membership,
  sizeBytes,
});
const chunk = (snapshot: SnapshotMeta, offset: number, length: number, of = 3) =>
  say("n2", of, { kind: "snapshotChunk", snapshot, offset, data: new Uint8Array(length) });
const accepted = (from: string, match: number) => say(from, 2, { kind: "appendAccepted", match: logIndex(match) });
const heartbeatResponse = (from: string, round: number) => say(from, 2, { kind: "heartbeatResponse", round });

describe("a follower takes a snapshot (figure 13)", () => {
  it("piece by piece: a file begins at offset 0, and each answer says where to go on", () => {
    const node = createLoneNode({ term: 3 });
    node.hear(chunk(snapshotAt(9, 2), 0, 4));
    const { messages, writes } = node.take();
    expect(messages).toMatchObject([{ kind: "snapshotChunkResponse", snapshot: 9, nextOffset: 4 }]);
    expect(writes).toMatchObject([{ snapshotChunks: [{ offset: 0 }], mustFlush: false }]);
  });

  it("of an older term is refused, and answered with the newer one", () => {
    const node = createLoneNode({ term: 4 });
    node.hear(chunk(snapshotAt(9, 2), 0, 6));
    expect(node.take()).toMatchObject({ messages: [{ kind: "staleTerm", term: 4 }], writes: [] });
  });

  it("a piece that leaves something out is not taken up, and the answer says what is missing", () => {
    const node = createLoneNode({ term: 3 });
    node.hear(chunk(snapshotAt(9, 2), 4, 2));
    expect(node.take()).toMatchObject({ messages: [{ nextOffset: 0 }], writes: [] });
  });

  it("a piece that comes twice is written once", () => {
    const node = createLoneNode({ term: 3 });
    for (let copy = 0; copy < 2; copy++) node.hear(chunk(snapshotAt(9, 2), 0, 4));
    expect(node.take().writes.flatMap((write) => write.snapshotChunks)).toHaveLength(1);
  });

  it("a piece that is not the last holds back nothing that waits for a flush", () => {
    const node = createLoneNode({ term: 3, votedFor: "n2" });
    node.hear(chunk(snapshotAt(9, 2), 0, 4));
    node.take();
    node.hear(say("n2", 3, { kind: "voteRequest", last: at(9, 2), transfer: false }));
    expect(node.take().messages).toMatchObject([{ kind: "voteResponse", granted: true }]);
  });

  it("a piece beyond the snapshot's end is not taken up", () => {
    const node = createLoneNode({ term: 3 });
    node.hear(chunk(snapshotAt(9, 2), 0, 7));
    expect(node.take()).toMatchObject({ messages: [], writes: [] });
  });

  it("a newer snapshot takes the place of one that is coming in, an older one does not", () => {
    const node = createLoneNode({ term: 3 });
    node.hear(chunk(snapshotAt(9, 2), 0, 4));
    node.hear(chunk(snapshotAt(12, 2), 0, 4));
    node.hear(chunk(snapshotAt(9, 2), 4, 2));
    expect(node.take().messages).toMatchObject([
      { snapshot: 9, nextOffset: 4 },
      { snapshot: 12, nextOffset: 4 },
    ]);
    expect(node.raft.status().last.index).toBe(1);
  });

  it("when it is whole it replaces the log and the membership", () => {
    const node = createLoneNode({ terms: [1, 1, 1], term: 3 });
    node.hear(chunk(snapshotAt(3, 2), 0, 6));
    expect(node.raft.status()).toMatchObject({ last: at(3, 2), committed: 3, membership });
  });

  it("it is acknowledged and loaded only after its flush", () => {
    const node = createLoneNode({ term: 3 });
    node.take();
    node.hear(chunk(snapshotAt(9, 2), 0, 6));
    expect(node.take()).toMatchObject({ messages: [], restored: [], writes: [{ mustFlush: true }] });
    node.flush();
    expect(node.take()).toMatchObject({
      messages: [{ kind: "appendAccepted", match: 9 }],
      restored: [{ index: 9, term: 2 }],
    });
  });

  it("entries behind it are kept where the log has its last entry already", () => {
    const node = createLoneNode({ terms: [2, 2, 2], term: 3 });
    node.hear(chunk(snapshotAt(3, 2), 0, 6));
    expect(node.raft.status()).toMatchObject({ last: at(4, 2), committed: 3, snapshot: { index: 1 } });
    expect(node.take().messages).toMatchObject([{ kind: "appendAccepted", match: 3 }]);
  });

  it("one that is older than what is committed changes nothing", () => {
    const node = createLoneNode({ terms: [2, 2, 2], term: 3 });
    node.hear(append("n2", 3, at(4, 2), [], 4));
    node.take();
    // Entry 2 is no longer in the log: only the commit index says that the snapshot is old.
    node.raft.compact({ ...node.raft.snapshotAt(logIndex(3)), sizeBytes: 6 }, 0);
    node.take();
    node.flush();
    node.hear(chunk(snapshotAt(2, 2), 0, 6));
    expect(node.raft.status()).toMatchObject({ last: at(4, 2), committed: 4, snapshot: { index: 3 } });
    expect(node.take()).toMatchObject({ messages: [{ kind: "appendAccepted", match: 4 }], writes: [], restored: [] });
  });
});

describe("a leader sends a snapshot (section 7)", () => {
  const compactedLeader = (): LoneNode => {
    const node = createLoneNode({ limits: { snapshotChunkBytesMax: 4 } });
    node.lead();
    node.raft.propose(Uint8Array.of(1));
    node.take();
    node.flush();
    node.hear(accepted("n2", 3));
    node.take();
    const meta = { ...node.raft.snapshotAt(logIndex(3)), sizeBytes: 6 };
    node.raft.compact(meta, 0);
    return node;
  };

  it("when the entries that a follower needs are dropped, in pieces, one at a time", () => {
    const node = compactedLeader();
    node.hear(heartbeatResponse("n3", 0));
    expect(node.take().chunks).toMatchObject([{ header: { to: idOf("n3"), offset: 0 }, lengthBytes: 4 }]);
    expect(node.take().chunks).toEqual([]);
    node.hear(say("n3", 2, { kind: "snapshotChunkResponse", snapshot: logIndex(3), nextOffset: 4 }));
    expect(node.take().chunks).toMatchObject([{ header: { offset: 4 }, lengthBytes: 2 }]);
    node.hear(accepted("n3", 3));
    expect(node.raft.status().followers).toMatchObject([{}, { match: 3, replication: "replicate" }]);
  });

  it("not to a follower that was never heard to be there", () => {
    const node = compactedLeader();
    node.raft.peerUnreachable(idOf("n3"));
    expect(node.take().chunks).toEqual([]);
  });

  it("begins anew with the newest one when its driver no longer has the old one", () => {
    const node = compactedLeader();
    node.hear(heartbeatResponse("n3", 0));
    node.take();
    node.raft.snapshotGone(logIndex(3));
    expect(node.take().chunks).toMatchObject([{ header: { offset: 0, snapshot: { index: 3 } } }]);
  });

  it("of what is committed and was handed out only, with the membership that was in force there", () => {
    const node = createLoneNode();
    node.lead();
    node.hear(accepted("n2", 2));
    node.take();
    node.raft.proposeMembership({ kind: "addLearner", member: { id: idOf("n4"), address: "n4" } });
    node.take();
    node.flush();
    expect(() => node.raft.snapshotAt(logIndex(3))).toThrow(RangeError);
    node.hear(accepted("n2", 3));
    expect(() => node.raft.snapshotAt(logIndex(3))).toThrow(RangeError);
    node.take();
    const learnersAt = (index: number) => node.raft.snapshotAt(logIndex(index)).membership.learners.length;
    expect([learnersAt(2), learnersAt(3)]).toEqual([0, 1]);
  });

  it("drops only entries that the snapshot holds, and keeps as many of them as it is told", () => {
    const node = createLoneNode();
    node.lead();
    node.raft.propose(Uint8Array.of(1));
    node.take();
    node.flush();
    node.hear(accepted("n2", 3));
    node.take();
    const meta = { ...node.raft.snapshotAt(logIndex(3)), sizeBytes: 0 };
    node.raft.compact(meta, 1);
    expect(node.take().writes).toMatchObject([{ compactThrough: 2, mustFlush: false }]);
    expect(() => node.raft.snapshotAt(logIndex(4))).toThrow(RangeError);
  });
});

describe("linearizable reads (thesis 6.4)", () => {
  const committedLeader = (): LoneNode => {
    const node = createLoneNode();
    node.lead();
    node.hear(accepted("n2", 2));
    node.take();
    return node;
  };

  it("a read is confirmed by a majority's answers to a round that began after it came", () => {
    const node = committedLeader();
    node.raft.readIndex("a");
    expect(node.take().messages).toMatchObject([
      { kind: "heartbeat", round: 1 },
      { kind: "heartbeat", round: 1 },
    ]);
    node.hear(heartbeatResponse("n2", 0));
    expect(node.take().reads).toEqual([]);
    node.hear(heartbeatResponse("n2", 1));
    expect(node.take().reads).toEqual([{ kind: "confirmed", context: "a", index: 2 }]);
  });

  it("a round that began before the read came does not confirm it", () => {
    const node = committedLeader();
    node.raft.readIndex("a");
    node.take();
    node.raft.readIndex("b");
    node.hear(heartbeatResponse("n2", 1));
    expect(node.take().reads).toMatchObject([{ context: "a" }]);
    node.hear(heartbeatResponse("n2", 2));
    expect(node.take().reads).toMatchObject([{ context: "b" }]);
  });

  it("reads of one moment share a round", () => {
    const node = committedLeader();
    for (const context of ["a", "b", "c"]) node.raft.readIndex(context);
    expect(node.take().messages).toHaveLength(2);
    node.hear(heartbeatResponse("n3", 1));
    expect(node.take().reads).toHaveLength(3);
  });

  it("a leader that has committed nothing of its own term lets reads wait until it has", () => {
    const node = createLoneNode({ terms: [1, 1] });
    node.lead();
    node.raft.readIndex("a");
    node.tick(heartbeatTicks);
    node.hear(heartbeatResponse("n2", 1));
    expect(node.take().reads).toEqual([]);
    node.hear(accepted("n2", 4));
    node.take();
    node.hear(heartbeatResponse("n2", 1));
    expect(node.take().reads).toEqual([{ kind: "confirmed", context: "a", index: 4 }]);
  });

  it("a follower asks its leader, and its caller learns the index", () => {
    const node = createLoneNode();
    node.hear(append("n2", 1, at(1, 1), []));
    node.take();
    node.raft.readIndex("a");
    expect(node.take().messages).toMatchObject([{ kind: "readRequest", to: idOf("n2"), context: "a" }]);
    node.hear(say("n2", 1, { kind: "readResponse", context: "a", index: logIndex(7) }));
    node.hear(say("n2", 1, { kind: "readResponse", context: "a", index: logIndex(8) }));
    expect(node.take().reads).toEqual([{ kind: "confirmed", context: "a", index: 7 }]);
  });

  it("a leader answers a follower's read to the follower", () => {
    const node = committedLeader();
    node.hear(say("n3", 2, { kind: "readRequest", context: "x" }));
    node.take();
    node.hear(heartbeatResponse("n2", 1));
    expect(node.take()).toMatchObject({
      messages: [{ kind: "readResponse", to: idOf("n3"), context: "x", index: 2 }],
      reads: [],
    });
  });

  it("reads that wait are lost when leadership changes", () => {
    const node = committedLeader();
    node.raft.readIndex("a");
    node.take();
    node.hear(say("n2", 5, { kind: "staleTerm" }));
    expect(node.take().reads).toEqual([{ kind: "lost", context: "a" }]);
    node.hear(append("n2", 5, at(2, 2), []));
    node.raft.readIndex("b");
    node.take();
    node.hear(say("n3", 6, { kind: "heartbeat", commit: noIndex, round: 0 }));
    expect(node.take().reads).toEqual([{ kind: "lost", context: "b" }]);
  });

  it("a read is refused where nobody is known to lead, and past the limit", () => {
    expect(createLoneNode().raft.readIndex("a")).toEqual({ kind: "refused", reason: "NO_LEADER" });
    const node = createLoneNode({ limits: { pendingReadsMax: 1 } });
    node.lead();
    expect(node.raft.readIndex("a")).toEqual({ kind: "waiting" });
    expect(node.raft.readIndex("b")).toEqual({ kind: "refused", reason: "RESOURCE_EXHAUSTED" });
  });
});

describe("evidence that the leader is gone", () => {
  const following = (): LoneNode => {
    const node = createLoneNode();
    node.hear(append("n2", 1, at(1, 1), []));
    node.take();
    return node;
  };

  it("lets a follower ask for pre-votes at once", () => {
    const node = following();
    node.raft.peerRefused(idOf("n2"));
    expect(node.raft.status()).toMatchObject({ role: "preCandidate", term: 1 });
  });

  it("says nothing when another node is gone", () => {
    const node = following();
    node.raft.peerRefused(idOf("n3"));
    expect(node.raft.status().role).toBe("follower");
  });

  it("counts once per election timeout", () => {
    const node = following();
    node.raft.peerRefused(idOf("n2"));
    node.hear(append("n2", 1, at(1, 1), []));
    node.raft.peerRefused(idOf("n2"));
    expect(node.raft.status().role).toBe("follower");
    node.tick(electionTicksMin);
    node.hear(append("n2", 1, at(1, 1), []));
    node.raft.peerRefused(idOf("n2"));
    expect(node.raft.status().role).toBe("preCandidate");
  });

  it("is not acted upon while another node, that was found fit, is about to act", () => {
    const node = following();
    node.tick(electionTicksMin);
    node.hear(say("n3", 1, { kind: "preVoteRequest", forTerm: term(2), last: at(1, 1) }));
    node.raft.peerRefused(idOf("n2"));
    expect(node.raft.status().role).toBe("follower");
  });

  it("is acted upon after that node was elected, and is gone in its turn", () => {
    const node = following();
    node.tick(electionTicksMin);
    node.hear(say("n3", 1, { kind: "preVoteRequest", forTerm: term(2), last: at(1, 1) }));
    node.hear(append("n3", 2, at(1, 1), []));
    node.raft.peerRefused(idOf("n3"));
    expect(node.raft.status().role).toBe("preCandidate");
  });

  it.each([
    ["has the same evidence", true],
    ["has none", false],
  ])("a voter that %s grants the vote of a node that has it: %s", (_, has) => {
    const node = createLoneNode({ voters: ["n1", "n2", "n3", "n4", "n5"] });
    node.hear(append("n2", 1, at(1, 1), []));
    node.tick(3);
    if (has) {
      node.raft.peerRefused(idOf("n2"));
      node.hear(say("n3", 1, { kind: "preVoteResponse", forTerm: term(2), granted: false }));
    }
    node.take();
    node.hear(say("n3", 1, { kind: "preVoteRequest", forTerm: term(2), last: at(1, 1) }));
    expect(node.take().messages).toMatchObject([{ kind: "preVoteResponse", granted: has }]);
  });

  it.each([
    ["has the same evidence", true],
    ["has none", false],
  ])("a voter that stands for nothing itself and %s grants pre-vote and vote: %s", (_, has) => {
    // Its own log counts n1 among the learners: it does not stand for election, and so still takes n2 for the leader.
    const node = createLoneNode({ voters: ["n2", "n3"], learners: ["n1"] });
    node.hear(append("n2", 1, at(1, 1), []));
    if (has) node.raft.peerRefused(idOf("n2"));
    expect(node.raft.status()).toMatchObject({ role: "follower", leader: idOf("n2") });
    node.take();
    node.hear(say("n3", 1, { kind: "preVoteRequest", forTerm: term(2), last: at(1, 1) }));
    node.hear(say("n3", 2, { kind: "voteRequest", last: at(1, 1), transfer: false }));
    const before = node.take().messages;
    node.flush();
    expect([...before, ...node.take().messages]).toMatchObject([
      { kind: "preVoteResponse", granted: has },
      ...(has ? [{ kind: "voteResponse", granted: true }] : []),
    ]);
    expect(node.raft.status()).toMatchObject(has ? { term: 2, votedFor: idOf("n3") } : { term: 1, leader: idOf("n2") });
  });

  it("is withdrawn when the leader is heard again", () => {
    const node = createLoneNode({ voters: ["n2", "n3"], learners: ["n1"] });
    node.hear(append("n2", 1, at(1, 1), []));
    node.raft.peerRefused(idOf("n2"));
    node.hear(append("n2", 1, at(1, 1), []));
    node.take();
    node.hear(say("n3", 1, { kind: "preVoteRequest", forTerm: term(2), last: at(1, 1) }));
    expect(node.take().messages).toMatchObject([{ granted: false }]);
  });
});
