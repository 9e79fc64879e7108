/** Sections 5.3 and 5.4.2 of the Raft paper, its figure 2 "AppendEntries" and "Rules for servers". */
import { describe, expect, it } from "vitest";
import { logIndex, term } from "../ids.ts";
import { append, at, createLoneNode, type LoneNode, noops, say } from "../testing/lone-node.ts";
import { electionTicks, heartbeatTicks, idOf } from "../testing/scripted-cluster.ts";

const accepted = (from: string, of: number, match: number) =>
  say(from, of, { kind: "appendAccepted", match: logIndex(match) });
const heartbeatResponse = (from: string, of: number) => say(from, of, { kind: "heartbeatResponse", round: 0 });
const appends = (node: LoneNode, to: string) =>
  node
    .take()
    .messages.flatMap((message) => (message.kind === "appendRequest" && message.to === idOf(to) ? [message] : []));
const terms = (node: LoneNode) => node.take().writes.flatMap((write) => write.entries.map((entry) => entry.term));

describe("a follower takes entries (figure 2, AppendEntries)", () => {
  it("refuses them where it has no entry with the index and term before them", () => {
    const node = createLoneNode({ terms: [1, 1] });
    node.hear(append("n2", 2, at(5, 2), [2]));
    node.hear(append("n2", 2, at(3, 2), [2]));
    node.take();
    node.flush();
    expect(node.take().messages).toMatchObject([
      { kind: "appendRejected", previous: 5 },
      { kind: "appendRejected", previous: 3 },
    ]);
  });

  it("names, when it refuses, the last entry that the leader may share: not behind it and of no later term", () => {
    const node = createLoneNode({ terms: [1, 3, 3, 3], term: 4 });
    node.hear(append("n2", 4, at(9, 3), []));
    node.hear(append("n2", 4, at(5, 2), []));
    expect(node.take().messages).toMatchObject([{ hint: at(5, 3) }, { hint: at(2, 1) }]);
  });

  it("cuts what conflicts with a new entry, and all that follows it", () => {
    const node = createLoneNode({ terms: [2, 2, 2] });
    node.hear(append("n2", 3, at(2, 2), [3]));
    expect(node.raft.status().last).toEqual(at(3, 3));
    expect(node.take().writes).toMatchObject([{ entries: [at(3, 3)] }]);
  });

  it("keeps what does not conflict, when an append comes late and is shorter than the log", () => {
    const node = createLoneNode({ terms: [2, 2, 2] });
    node.hear(append("n2", 2, at(1, 1), [2]));
    expect(node.raft.status().last).toEqual(at(4, 2));
    expect(node.take().writes).toEqual([]);
  });

  it("appends only what is not in the log already", () => {
    const node = createLoneNode({ terms: [2, 2] });
    node.hear(append("n2", 2, at(1, 1), [2, 2, 2, 2]));
    expect(node.take().writes).toMatchObject([{ entries: [at(4, 2), at(5, 2)] }]);
  });

  it("commits what the leader has committed, as far as the last new entry", () => {
    const node = createLoneNode({ terms: [2, 2, 2] });
    node.hear(append("n2", 2, at(1, 1), [2], 9));
    expect(node.raft.status().committed).toBe(2);
    node.hear(append("n2", 2, at(2, 2), [2, 2, 2], 4));
    expect(node.raft.status().committed).toBe(4);
  });

  it("never moves its commit index back", () => {
    const node = createLoneNode({ terms: [2, 2] });
    node.hear(append("n2", 2, at(3, 2), [], 3));
    node.hear(append("n2", 2, at(3, 2), [], 1));
    expect(node.raft.status().committed).toBe(3);
  });

  it("never cuts a committed entry, whatever it is told", () => {
    const node = createLoneNode({ terms: [2, 2] });
    node.hear(append("n2", 2, at(3, 2), [], 3));
    node.hear(append("n3", 3, at(1, 1), [3, 3]));
    expect(node.raft.status()).toMatchObject({ last: at(3, 2), committed: 3 });
  });

  it("acknowledges entries after their flush, and only as far as it is flushed", () => {
    const node = createLoneNode({ term: 2 });
    node.hear(append("n2", 2, at(1, 1), [2, 2]));
    expect(node.take().messages).toEqual([]);
    node.hear(append("n2", 2, at(3, 2), []));
    expect(node.take().messages).toMatchObject([{ kind: "appendAccepted", match: 1 }]);
    node.flush();
    expect(node.take().messages).toMatchObject([{ kind: "appendAccepted", match: 3 }]);
  });

  it("acknowledges nothing beyond what it knows to be as the leader has it", () => {
    const node = createLoneNode({ terms: [2, 2, 2] });
    node.hear(append("n2", 3, at(2, 2), []));
    node.take();
    node.flush();
    expect(node.take().messages).toMatchObject([{ kind: "appendAccepted", match: 2 }]);
  });

  it("says once what one leader asked for, however many flushes end behind it", () => {
    const node = createLoneNode({ term: 2 });
    node.hear(append("n2", 2, at(1, 1), [2, 2]));
    node.take();
    node.hear(append("n2", 2, at(3, 2), [2]));
    node.take();
    node.hear(append("n3", 3, at(2, 2), []));
    node.take();
    node.flush();
    const matches = node.take().messages.map((message) => message.kind === "appendAccepted" && message.match);
    expect(matches).toEqual([1, 2]);
  });

  it("answers a repeated append as it answered the first", () => {
    const node = createLoneNode({ term: 2 });
    const answers = [1, 2].map(() => {
      node.hear(append("n2", 2, at(1, 1), [2]));
      const { messages } = node.take();
      node.flush();
      return [...messages, ...node.take().messages].map((answer) => answer.kind === "appendAccepted" && answer.match);
    });
    expect(answers).toEqual([[2], [2]]);
    expect(node.raft.status()).toMatchObject({ last: at(2, 2), flushed: 2 });
  });

  it("does not take up entries with gaps or falling terms", () => {
    const node = createLoneNode({ term: 3 });
    const gap = [...noops(2, 2), ...noops(4, 2)];
    node.hear(say("n2", 3, { kind: "appendRequest", previous: at(1, 1), entries: gap, commit: logIndex(0) }));
    node.hear(append("n2", 3, at(1, 1), [3, 2]));
    expect(node.raft.status().last).toEqual(at(1, 1));
  });
});

describe("a leader replicates (5.3)", () => {
  it("opens its term with an entry of its own", () => {
    const node = createLoneNode({ terms: [1] });
    node.lead();
    expect(node.raft.status().last).toEqual(at(3, 2));
  });

  it("begins with each follower behind its own last entry, and knows of none what it has", () => {
    const node = createLoneNode({ terms: [1, 2] });
    node.tick(electionTicks);
    node.hear(say("n2", 2, { kind: "preVoteResponse", forTerm: term(3), granted: true }));
    node.take();
    node.flush();
    node.take();
    node.hear(say("n2", 3, { kind: "voteResponse", granted: true }));
    expect(node.take().messages).toMatchObject(
      ["n2", "n3"].map((peer) => ({ kind: "appendRequest", to: idOf(peer), previous: at(3, 2), entries: [at(4, 3)] })),
    );
    expect(node.raft.status().followers).toMatchObject([{ match: 0 }, { match: 0 }]);
  });

  it("appends a proposal to its log, and everybody else refuses it and says who leads", () => {
    const node = createLoneNode();
    node.lead();
    expect(node.raft.propose(Uint8Array.of(1))).toEqual({ kind: "accepted", position: at(3, 2) });
    const follower = createLoneNode();
    follower.hear(append("n2", 1, at(1, 1), []));
    expect(follower.raft.propose(Uint8Array.of(1))).toEqual({
      kind: "refused",
      reason: "NOT_LEADER",
      leader: idOf("n2"),
    });
  });

  it("never cuts or changes its own log", () => {
    const node = createLoneNode({ terms: [2, 2] });
    node.lead();
    node.hear(append("n2", 3, at(1, 1), [3, 3, 3]));
    expect(node.raft.status()).toMatchObject({ role: "leader", last: at(4, 3) });
  });

  it("goes back for a follower that refuses, until both logs agree, and sends all from there", () => {
    const node = createLoneNode({ terms: [1, 2, 2, 4, 4] });
    node.lead();
    node.hear(say("n2", 5, { kind: "appendRejected", previous: logIndex(6), hint: at(5, 3) }));
    const [probe] = appends(node, "n2");
    expect(probe).toMatchObject({ previous: at(4, 2), entries: [at(5, 4), at(6, 4), at(7, 5)] });
    node.hear(accepted("n2", 5, 7));
    expect(node.raft.status().followers).toMatchObject([{ match: 7, replication: "replicate" }, { match: 0 }]);
  });

  it("does not go back for a refusal that is older than what the follower has acknowledged", () => {
    const node = createLoneNode({ terms: [1, 1, 1] });
    node.lead();
    node.hear(accepted("n2", 2, 5));
    node.take();
    node.hear(say("n2", 2, { kind: "appendRejected", previous: logIndex(4), hint: at(2, 1) }));
    expect(node.raft.status().followers).toMatchObject([{ match: 5, replication: "replicate" }, {}]);
  });

  it("waits for an answer before it sends more to a follower that it does not know", () => {
    const node = createLoneNode();
    node.lead();
    node.raft.propose(Uint8Array.of(1));
    expect(appends(node, "n2")).toEqual([]);
    node.hear(heartbeatResponse("n2", 2));
    expect(appends(node, "n2")).toHaveLength(1);
  });

  it("sends without waiting to a follower that it knows, within the limits", () => {
    const node = createLoneNode({ limits: { inflightMessagesMax: 2 } });
    node.lead();
    node.hear(accepted("n2", 2, 2));
    for (let proposal = 0; proposal < 3; proposal++) {
      node.raft.propose(Uint8Array.of(proposal));
      expect(appends(node, "n2")).toHaveLength(proposal < 2 ? 1 : 0);
    }
    node.hear(accepted("n2", 2, 3));
    expect(appends(node, "n2")).toMatchObject([{ previous: at(4, 2), entries: [at(5, 2)] }]);
  });

  it("bounds the bytes in flight to one follower, and sends on when they arrived", () => {
    const node = createLoneNode({ limits: { inflightBytesMax: 300 } });
    node.lead();
    node.hear(accepted("n2", 2, 2));
    for (let proposal = 0; proposal < 4; proposal++) {
      node.raft.propose(new Uint8Array(150));
      expect(appends(node, "n2")).toHaveLength(proposal < 2 ? 1 : 0);
    }
    node.hear(accepted("n2", 2, 4));
    expect(appends(node, "n2")).toMatchObject([{ entries: [at(5, 2), at(6, 2)] }]);
  });

  it("is not stuck for ever when the answers of all that is in flight were lost", () => {
    const node = createLoneNode({ limits: { inflightMessagesMax: 1 } });
    node.lead();
    node.hear(accepted("n2", 2, 2));
    for (let proposal = 0; proposal < 2; proposal++) node.raft.propose(Uint8Array.of(proposal));
    node.take();
    node.raft.propose(Uint8Array.of(2));
    expect(appends(node, "n2")).toEqual([]);
    node.hear(heartbeatResponse("n2", 2));
    expect(appends(node, "n2")).toMatchObject([{ entries: [at(5, 2)] }]);
  });

  it("bounds the bytes of one append, and sends an entry that is larger alone", () => {
    const node = createLoneNode({ limits: { appendBytesMax: 100 } });
    node.lead();
    node.hear(accepted("n2", 2, 2));
    for (const bytes of [10, 10, 500, 10]) node.raft.propose(new Uint8Array(bytes));
    expect(appends(node, "n2").map((message) => message.entries.length)).toEqual([2, 1, 1]);
  });

  it("refuses proposals past the limit of what is not committed, and takes them again when it is", () => {
    const node = createLoneNode({ limits: { uncommittedBytesMax: 100 } });
    node.lead();
    node.hear(accepted("n2", 2, 2));
    node.raft.propose(new Uint8Array(60));
    expect(node.raft.propose(new Uint8Array(60))).toMatchObject({ kind: "refused", reason: "RESOURCE_EXHAUSTED" });
    node.take();
    node.flush();
    node.hear(accepted("n2", 2, 3));
    expect(node.raft.propose(new Uint8Array(60))).toMatchObject({ kind: "accepted" });
  });

  it("lets in one proposal that is larger than the limit, which would never fit otherwise", () => {
    const node = createLoneNode({ limits: { uncommittedBytesMax: 100 } });
    node.lead();
    expect(node.raft.propose(new Uint8Array(500))).toMatchObject({ kind: "accepted" });
  });

  it("asks again when a follower answers heartbeats and something of it is missing", () => {
    const node = createLoneNode();
    node.lead();
    node.hear(accepted("n2", 2, 2));
    node.raft.propose(Uint8Array.of(1));
    expect(appends(node, "n2")).toHaveLength(1);
    node.tick(heartbeatTicks);
    node.hear(heartbeatResponse("n2", 2));
    expect(appends(node, "n2")).toMatchObject([{ previous: at(3, 2), entries: [] }]);
  });

  it("begins anew with a follower whose connection broke", () => {
    const node = createLoneNode();
    node.lead();
    node.hear(accepted("n2", 2, 2));
    node.raft.propose(Uint8Array.of(1));
    node.take();
    node.raft.peerUnreachable(idOf("n2"));
    expect(appends(node, "n2")).toMatchObject([{ previous: at(2, 2), entries: [at(3, 2)] }]);
  });

  it("tells followers how far it has committed, in heartbeats only what they are known to have", () => {
    const node = createLoneNode();
    node.lead();
    node.hear(accepted("n2", 2, 2));
    node.take();
    node.tick(heartbeatTicks);
    expect(node.take().messages).toMatchObject([
      { kind: "heartbeat", to: idOf("n2"), commit: 2 },
      { kind: "heartbeat", to: idOf("n3"), commit: 0 },
    ]);
  });
});

describe("commitment (5.3, 5.4.2)", () => {
  it("an entry is committed when a majority has flushed it, the leader's own flush included", () => {
    const node = createLoneNode({ voters: ["n1", "n2", "n3", "n4", "n5"] });
    node.hear(say("n2", 1, { kind: "timeoutNow" }));
    node.take();
    node.flush();
    for (const peer of ["n2", "n3"]) node.hear(say(peer, 2, { kind: "voteResponse", granted: true }));
    node.take();
    node.hear(accepted("n2", 2, 2));
    node.hear(accepted("n3", 2, 2));
    expect(node.raft.status().committed).toBe(1);
    node.flush();
    expect(node.raft.status().committed).toBe(2);
  });

  it("entries of older terms are not committed by counting, only with one of the leader's own term", () => {
    const node = createLoneNode({ terms: [2, 2] });
    node.lead();
    node.hear(accepted("n2", 3, 3));
    node.hear(accepted("n3", 3, 3));
    expect(node.raft.status().committed).toBe(1);
    node.hear(accepted("n2", 3, 4));
    expect(node.raft.status().committed).toBe(4);
  });

  it("committed entries are handed out in order, each once, after they are flushed here", () => {
    const node = createLoneNode({ term: 2 });
    node.take();
    node.hear(append("n2", 2, at(1, 1), [2, 2], 3));
    expect(node.take().committed).toEqual([]);
    node.flush();
    expect(node.take().committed).toMatchObject([at(2, 2), at(3, 2)]);
    node.hear(append("n2", 2, at(3, 2), [2], 4));
    node.take();
    node.flush();
    expect(node.take().committed).toMatchObject([at(4, 2)]);
  });

  it("an answer for more than the leader has counts for nothing", () => {
    const node = createLoneNode();
    node.lead();
    node.hear(accepted("n2", 2, 99));
    expect(node.raft.status().committed).toBe(1);
  });

  it("what a write holds is what was appended since the last one", () => {
    const node = createLoneNode({ term: 2 });
    node.hear(append("n2", 2, at(1, 1), [2]));
    expect(terms(node)).toEqual([2]);
    node.hear(append("n2", 2, at(2, 2), [2, 2]));
    expect(terms(node)).toEqual([2, 2]);
  });

  it("a flush that was never handed out is refused", () => {
    const node = createLoneNode();
    expect(() => node.raft.flushed({ write: 99, last: at(1, 1) })).toThrow(RangeError);
  });
});
