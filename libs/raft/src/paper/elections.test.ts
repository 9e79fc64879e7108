/** Sections 5.1, 5.2 and 5.4.1 of the Raft paper, its figure 2 "RequestVote", and pre-vote as in section 9.6 of the thesis. */
import { describe, expect, it } from "vitest";
import { logIndex, term } from "../ids.ts";
import type { Message } from "../messages.ts";
import { createRaft } from "../raft.ts";
import { formattedStart } from "../start-state.ts";
import { append, at, createLoneNode, type LoneNode, say } from "../testing/lone-node.ts";
import { electionTicks, electionTicksMin, heartbeatTicks, idOf } from "../testing/scripted-cluster.ts";

const voteRequest = (from: string, of: number, last = at(1, 1), transfer = false) =>
  say(from, of, { kind: "voteRequest", last, transfer });
const preVoteRequest = (from: string, of: number, last = at(1, 1)) =>
  say(from, of, { kind: "preVoteRequest", forTerm: term(of + 1), last });

/** What a leader that is known already says again. */
const laterWords = [
  ["an append", append("n3", 1, at(1, 1), [])],
  ["a heartbeat", say("n3", 1, { kind: "heartbeat", commit: logIndex(1), round: 0 })],
] as const;

/** n3 is heard to lead, and again by `word`; either time the node is about to miss it. */
function hearTwice(node: LoneNode, word: Message): void {
  node.hear(append("n3", 1, at(1, 1), []));
  node.tick(electionTicksMin - 1);
  node.hear(word);
  node.tick(electionTicksMin - 1);
  node.take();
}

describe("terms (5.1)", () => {
  it("a node that hears of a newer term takes it up and follows", () => {
    const node = createLoneNode();
    node.lead();
    node.hear(say("n2", 7, { kind: "staleTerm" }));
    expect(node.raft.status()).toMatchObject({ role: "follower", term: 7, votedFor: undefined, leader: undefined });
  });

  it("a request of an older term is refused, and answered with the newer one", () => {
    const node = createLoneNode({ term: 5 });
    node.hear(append("n2", 4, at(1, 1), [4]));
    node.hear(say("n2", 4, { kind: "heartbeat", commit: logIndex(1), round: 0 }));
    node.hear(voteRequest("n3", 4));
    expect(node.take().messages).toMatchObject([
      { kind: "staleTerm", to: idOf("n2"), term: 5 },
      { kind: "staleTerm", to: idOf("n2"), term: 5 },
      { kind: "voteResponse", to: idOf("n3"), term: 5, granted: false },
    ]);
    expect(node.raft.status().last.index).toBe(1);
  });

  it("an answer of an older term counts for nothing", () => {
    const node = createLoneNode({ terms: [2, 2], term: 2 });
    node.lead();
    node.hear(say("n2", 2, { kind: "appendAccepted", match: logIndex(4) }));
    expect(node.raft.status().committed).toBe(1);
  });

  it("term and vote are written before anything is said that follows from them", () => {
    const node = createLoneNode();
    node.hear(voteRequest("n2", 2));
    const before = node.take();
    expect(before.messages).toEqual([]);
    expect(before.writes).toMatchObject([{ hardState: { term: 2, votedFor: idOf("n2") }, mustFlush: true }]);
    node.flush();
    expect(node.take().messages).toMatchObject([{ kind: "voteResponse", granted: true }]);
  });
});

describe("elections (5.2)", () => {
  it("a node starts as a follower, and stays one while it hears from a leader", () => {
    const node = createLoneNode();
    for (let round = 0; round < 10; round++) {
      node.tick(electionTicks - 1);
      node.hear(say("n2", 1, { kind: "heartbeat", commit: logIndex(1), round: 0 }));
    }
    expect(node.raft.status()).toMatchObject({ role: "follower", leader: idOf("n2"), term: 1 });
  });

  it("a follower that hears nothing for an election timeout stands for election", () => {
    const node = createLoneNode();
    node.tick(electionTicks - 1);
    expect(node.raft.status().role).toBe("follower");
    node.tick(1);
    expect(node.raft.status().role).toBe("preCandidate");
  });

  it("a candidate opens a new term, votes for itself and asks all others, once its vote is flushed", () => {
    const node = createLoneNode({ terms: [1, 1] });
    node.tick(electionTicks);
    node.hear(say("n3", 1, { kind: "preVoteResponse", forTerm: term(2), granted: true }));
    const before = node.take();
    expect(before.writes).toMatchObject([{ hardState: { term: 2, votedFor: idOf("n1") } }]);
    expect(before.messages.filter((message) => message.kind === "voteRequest")).toEqual([]);
    node.flush();
    expect(node.take().messages).toMatchObject([
      { kind: "voteRequest", to: idOf("n2"), term: 2, last: at(3, 1) },
      { kind: "voteRequest", to: idOf("n3"), term: 2, last: at(3, 1) },
    ]);
  });

  it("a candidate that a majority votes for leads, and tells everybody at once", () => {
    const node = createLoneNode({ voters: ["n1", "n2", "n3", "n4", "n5"] });
    node.tick(electionTicks);
    for (const peer of ["n2", "n3"]) {
      node.hear(say(peer, 1, { kind: "preVoteResponse", forTerm: term(2), granted: true }));
    }
    node.take();
    node.flush();
    node.hear(say("n2", 2, { kind: "voteResponse", granted: true }));
    expect(node.raft.status().role).toBe("candidate");
    node.take();
    node.hear(say("n3", 2, { kind: "voteResponse", granted: true }));
    expect(node.raft.status().role).toBe("leader");
    expect(node.take().messages.map((message) => message.to)).toEqual(["n2", "n3", "n4", "n5"].map(idOf));
  });

  it("a vote that comes twice counts once", () => {
    const node = createLoneNode({ voters: ["n1", "n2", "n3", "n4", "n5"] });
    node.tick(electionTicks);
    for (const peer of ["n2", "n3"]) {
      node.hear(say(peer, 1, { kind: "preVoteResponse", forTerm: term(2), granted: true }));
    }
    node.take();
    node.flush();
    for (let copy = 0; copy < 3; copy++) node.hear(say("n2", 2, { kind: "voteResponse", granted: true }));
    expect(node.raft.status().role).toBe("candidate");
  });

  it("a vote that was given stands, whatever is overtaken", () => {
    const node = createLoneNode({ voters: ["n1", "n2", "n3", "n4", "n5"] });
    node.hear(say("n2", 1, { kind: "timeoutNow" }));
    node.take();
    node.flush();
    node.hear(say("n2", 2, { kind: "voteResponse", granted: true }));
    node.hear(say("n2", 2, { kind: "voteResponse", granted: false }));
    node.hear(say("n3", 2, { kind: "voteResponse", granted: true }));
    expect(node.raft.status().role).toBe("leader");
  });

  it("a node votes for one candidate in a term, the first that asks", () => {
    const node = createLoneNode();
    node.hear(voteRequest("n2", 2));
    node.hear(voteRequest("n3", 2));
    node.hear(voteRequest("n2", 2));
    node.take();
    node.flush();
    const votes = node
      .take()
      .messages.map((message) => [message.to, message.kind === "voteResponse" && message.granted]);
    expect(new Set(votes.map(String))).toEqual(new Set([`${idOf("n2")},true`, `${idOf("n3")},false`]));
  });

  it("a node that knows the leader of a term votes for nobody else in it", () => {
    const node = createLoneNode();
    node.hear(append("n2", 2, at(1, 1), []));
    node.hear(voteRequest("n3", 2, at(1, 1), true));
    expect(node.raft.status()).toMatchObject({ votedFor: undefined, leader: idOf("n2") });
  });

  it("a vote that is flushed is told again at once", () => {
    const node = createLoneNode();
    node.hear(voteRequest("n2", 2));
    node.take();
    node.flush();
    node.take();
    node.hear(voteRequest("n2", 2));
    expect(node.take().messages).toMatchObject([{ kind: "voteResponse", granted: true }]);
  });

  it("a restart does not forget the vote", () => {
    const node = createLoneNode({ term: 2, votedFor: "n2" });
    node.hear(voteRequest("n3", 2));
    expect(node.take().messages).toMatchObject([{ kind: "voteResponse", granted: false }]);
  });

  it("a candidate that hears from the leader of its term follows it", () => {
    const node = createLoneNode();
    node.raft.step(say("n2", 1, { kind: "timeoutNow" }));
    expect(node.raft.status()).toMatchObject({ role: "candidate", term: 2 });
    node.hear(append("n3", 2, at(1, 1), []));
    expect(node.raft.status()).toMatchObject({ role: "follower", leader: idOf("n3"), term: 2 });
  });

  it("and asks nobody any more for the votes that it was about to ask for", () => {
    const node = createLoneNode({ terms: [1, 1] });
    node.hear(say("n2", 1, { kind: "timeoutNow" }));
    node.take();
    node.hear(append("n3", 2, at(2, 1), [2]));
    node.take();
    node.flush();
    expect(node.take().messages.filter((message) => message.kind === "voteRequest")).toEqual([]);
  });

  it("a candidate that hears from a leader of an older term goes on", () => {
    const node = createLoneNode();
    node.raft.step(say("n2", 1, { kind: "timeoutNow" }));
    node.hear(append("n3", 1, at(1, 1), []));
    expect(node.raft.status().role).toBe("candidate");
  });

  it("an election without a result begins anew after another timeout", () => {
    const node = createLoneNode();
    node.raft.step(say("n2", 1, { kind: "timeoutNow" }));
    node.tick(electionTicks);
    expect(node.raft.status()).toMatchObject({ role: "preCandidate", term: 2 });
  });

  it("each election timeout is drawn anew, so that split votes are rare", () => {
    const drawn = [12, 17];
    const raft = createRaft({
      id: idOf("n1"),
      start: formattedStart(["n1", "n2", "n3"].map((name) => ({ id: idOf(name), address: name }))),
      timing: { heartbeatTicks, electionTicksMin, drawElectionTicks: () => drawn.shift() ?? 100 },
    });
    const ticksUntil = (role: string) => {
      let ticks = 0;
      for (; raft.status().role !== role && ticks < 100; ticks++) raft.tick();
      return ticks;
    };
    expect(ticksUntil("preCandidate")).toBe(12);
    raft.step(say("n2", 2, { kind: "voteRequest", last: at(1, 1), transfer: false }));
    expect(ticksUntil("preCandidate")).toBe(100);
    expect(drawn).toEqual([]);
  });

  it("granting a vote starts the wait for a leader anew", () => {
    const node = createLoneNode({ term: 2 });
    node.tick(electionTicks - 1);
    node.hear(voteRequest("n2", 2));
    node.tick(electionTicks - 1);
    expect(node.raft.status().role).toBe("follower");
  });

  it("a leader sends heartbeats while nothing else is to be sent", () => {
    const node = createLoneNode();
    node.lead();
    node.tick(heartbeatTicks);
    expect(node.take().messages.map((message) => message.kind)).toEqual(["heartbeat", "heartbeat"]);
  });
});

describe("who may be elected (5.4.1)", () => {
  it.each([
    ["an older last term", at(9, 2), false],
    ["the same last term and a shorter log", at(3, 3), false],
    ["the same log", at(4, 3), true],
    ["the same last term and a longer log", at(5, 3), true],
    ["a newer last term, however short the log", at(2, 4), true],
  ])("a candidate with %s", (_, last, granted) => {
    const node = createLoneNode({ terms: [2, 3, 3] });
    node.hear(voteRequest("n2", 5, last));
    node.take();
    node.flush();
    expect(node.take().messages).toMatchObject([{ kind: "voteResponse", granted }]);
    expect(node.raft.status().votedFor).toBe(granted ? idOf("n2") : undefined);
  });
});

describe("pre-vote (thesis 9.6)", () => {
  it("neither the term nor the vote of anybody changes by it", () => {
    const node = createLoneNode();
    node.hear(preVoteRequest("n2", 6));
    expect(node.take()).toMatchObject({ messages: [{ kind: "preVoteResponse", granted: true, term: 1 }], writes: [] });
    expect(node.raft.status()).toMatchObject({ term: 1, votedFor: undefined });
  });

  it("a term is opened only after a majority would vote for it", () => {
    const node = createLoneNode();
    node.tick(electionTicks * 4);
    expect(node.raft.status()).toMatchObject({ role: "preCandidate", term: 1 });
    node.hear(say("n2", 1, { kind: "preVoteResponse", forTerm: term(2), granted: true }));
    expect(node.raft.status()).toMatchObject({ role: "candidate", term: 2 });
  });

  it("it is refused while a leader is heard, and granted when it was missed for the shortest election timeout", () => {
    const node = createLoneNode();
    node.hear(append("n3", 1, at(1, 1), []));
    node.take();
    node.tick(electionTicksMin - 1);
    node.hear(preVoteRequest("n2", 1));
    node.tick(1);
    node.hear(preVoteRequest("n2", 1));
    expect(node.take().messages).toMatchObject([{ granted: false }, { granted: true }]);
  });

  it.each(laterWords)("it is refused for as long from %s, which is not the first that the leader says", (_, word) => {
    const node = createLoneNode();
    hearTwice(node, word);
    node.hear(preVoteRequest("n2", 1));
    expect(node.take().messages).toMatchObject([{ kind: "preVoteResponse", granted: false }]);
  });

  it("it is refused to a log that is behind, and for a term that is not new", () => {
    const node = createLoneNode({ terms: [2, 2] });
    node.hear(preVoteRequest("n2", 3, at(2, 2)));
    node.hear(say("n3", 1, { kind: "preVoteRequest", forTerm: term(2), last: at(9, 2) }));
    expect(node.take().messages).toMatchObject([{ granted: false }, { granted: false }]);
  });

  it("an answer to another round counts for nothing", () => {
    const node = createLoneNode({ term: 4 });
    node.tick(electionTicks);
    node.hear(say("n2", 1, { kind: "preVoteResponse", forTerm: term(3), granted: true }));
    expect(node.raft.status().role).toBe("preCandidate");
  });

  it("a majority's refusal ends the attempt", () => {
    const node = createLoneNode();
    node.tick(electionTicks);
    for (const peer of ["n2", "n3"]) {
      node.hear(say(peer, 1, { kind: "preVoteResponse", forTerm: term(2), granted: false }));
    }
    expect(node.raft.status()).toMatchObject({ role: "follower", term: 1 });
  });
});

describe("disruptive servers (section 6, thesis 6.2)", () => {
  it("a vote request of a newer term changes nothing while a leader is heard", () => {
    const node = createLoneNode();
    node.hear(append("n3", 1, at(1, 1), []));
    node.take();
    node.hear(voteRequest("n2", 8));
    expect(node.take().messages).toEqual([]);
    expect(node.raft.status()).toMatchObject({ term: 1, leader: idOf("n3") });
  });

  it.each(laterWords)("that is counted from %s too, which is not the first that the leader says", (_, word) => {
    const node = createLoneNode();
    hearTwice(node, word);
    node.hear(voteRequest("n2", 8));
    expect(node.take().messages).toEqual([]);
    expect(node.raft.status()).toMatchObject({ term: 1, leader: idOf("n3") });
  });

  it("unless the leader itself asked for that election", () => {
    const node = createLoneNode();
    node.hear(append("n3", 1, at(1, 1), []));
    node.hear(voteRequest("n2", 2, at(1, 1), true));
    expect(node.raft.status()).toMatchObject({ term: 2, votedFor: idOf("n2") });
  });

  it("a leader that hears from no majority for an election timeout steps down", () => {
    const node = createLoneNode();
    node.lead();
    node.tick(electionTicksMin - 1);
    expect(node.raft.status().role).toBe("leader");
    node.tick(1);
    expect(node.raft.status()).toMatchObject({ role: "follower", term: 2 });
  });

  it("a leader that hears from a majority leads on", () => {
    const node = createLoneNode();
    node.lead();
    for (let round = 0; round < 5; round++) {
      node.tick(electionTicksMin - 1);
      node.hear(say("n2", 2, { kind: "heartbeatResponse", round: 0 }));
    }
    expect(node.raft.status().role).toBe("leader");
  });
});
