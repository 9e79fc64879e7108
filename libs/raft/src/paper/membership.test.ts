/** Section 6 of the Raft paper in the one-at-a-time form of chapter 4 of the thesis, and handing over (thesis 3.10). */
import { describe, expect, it } from "vitest";
import { logIndex, noIndex, term } from "../ids.ts";
import type { MembershipChange } from "../membership.ts";
import { blankStart } from "../start-state.ts";
import { append, at, createLoneNode, type LoneNode, say } from "../testing/lone-node.ts";
import { electionTicks, electionTicksMin, heartbeatTicks, idOf } from "../testing/scripted-cluster.ts";

const add = (name: string): MembershipChange => ({ kind: "addLearner", member: { id: idOf(name), address: name } });
const remove = (name: string): MembershipChange => ({ kind: "remove", id: idOf(name) });
const promote = (name: string): MembershipChange => ({ kind: "promote", id: idOf(name) });
const accepted = (from: string, of: number, match: number) =>
  say(from, of, { kind: "appendAccepted", match: logIndex(match) });
const voters = (node: LoneNode) => node.raft.status().membership.voters.map((member) => member.address);

/** Leads term 2 with its no-op at 2 committed. */
function committedLeader(options: Parameters<typeof createLoneNode>[0] = {}): LoneNode {
  const node = createLoneNode(options);
  node.lead();
  node.hear(accepted("n2", 2, 2));
  node.take();
  return node;
}

/** The same, and n3 is heard as well. */
function wholeLeader(): LoneNode {
  const node = committedLeader();
  node.hear(accepted("n3", 2, 2));
  return node;
}

describe("changing the membership (thesis 4.1)", () => {
  it("a node follows the newest membership in its log, committed or not", () => {
    const node = committedLeader();
    node.raft.proposeMembership(remove("n3"));
    expect(voters(node)).toEqual(["n1", "n2"]);
    expect(node.raft.status().committed).toBe(2);
  });

  it("and the one before it again, when the newest is cut", () => {
    const node = committedLeader();
    node.raft.proposeMembership(remove("n3"));
    node.hear(append("n2", 3, at(2, 2), [3]));
    expect(voters(node)).toEqual(["n1", "n2", "n3"]);
  });

  it("one change at a time: the next one waits until the last is committed", () => {
    const node = committedLeader();
    expect(node.raft.proposeMembership(add("n4"))).toMatchObject({ kind: "accepted" });
    expect(node.raft.proposeMembership(remove("n3"))).toMatchObject({ reason: "CHANGE_IN_PROGRESS" });
    node.take();
    node.flush();
    node.hear(accepted("n2", 2, 3));
    expect(node.raft.proposeMembership(remove("n3"))).toMatchObject({ kind: "accepted" });
  });

  it("no change before an entry of the leader's own term is committed", () => {
    const node = createLoneNode();
    node.lead();
    expect(node.raft.proposeMembership(add("n4"))).toMatchObject({ reason: "TERM_NOT_COMMITTED" });
  });

  it("none while leadership is handed over", () => {
    const node = committedLeader();
    node.raft.transferLeadership(idOf("n2"));
    expect(node.raft.proposeMembership(add("n4"))).toMatchObject({ reason: "TRANSFERRING" });
  });

  it("only the leader changes it", () => {
    expect(createLoneNode().raft.proposeMembership(add("n4"))).toMatchObject({ reason: "NOT_LEADER" });
  });

  it("a change commits by the majority of the new membership", () => {
    const node = committedLeader();
    node.raft.proposeMembership(remove("n3"));
    node.take();
    node.flush();
    node.hear(accepted("n3", 2, 3));
    expect(node.raft.status().committed).toBe(2);
    node.hear(accepted("n2", 2, 3));
    expect(node.raft.status().committed).toBe(3);
  });
});

describe("learners (thesis 4.2.1)", () => {
  it("receive everything, and count for nothing", () => {
    const node = committedLeader({ learners: ["n4"] });
    node.hear(accepted("n4", 2, 2));
    node.raft.propose(Uint8Array.of(1));
    expect(node.take().messages.some((message) => message.to === idOf("n4"))).toBe(true);
    node.flush();
    node.hear(accepted("n4", 2, 3));
    expect(node.raft.status().committed).toBe(2);
  });

  it("never stand for election", () => {
    const node = createLoneNode({ voters: ["n2", "n3"], learners: ["n1"] });
    node.tick(electionTicks * 3);
    node.hear(say("n2", 1, { kind: "timeoutNow" }));
    expect(node.raft.status()).toMatchObject({ role: "follower", term: 1 });
  });

  it("are not asked for votes", () => {
    const node = createLoneNode({ learners: ["n4"] });
    node.tick(electionTicks);
    expect(node.take().messages.map((message) => message.to)).toEqual(["n2", "n3"].map(idOf));
  });

  it("give their vote when asked: they may not have heard of their promotion", () => {
    const node = createLoneNode({ voters: ["n2", "n3"], learners: ["n1"] });
    node.hear(say("n2", 2, { kind: "voteRequest", last: at(1, 1), transfer: false }));
    expect(node.raft.status().votedFor).toBe(idOf("n2"));
  });

  it("become voters only after they have caught up", () => {
    const node = committedLeader({ learners: ["n4"] });
    expect(node.raft.proposeMembership(promote("n4"))).toMatchObject({ reason: "NOT_CAUGHT_UP" });
    node.hear(accepted("n4", 2, 2));
    expect(node.raft.proposeMembership(promote("n4"))).toMatchObject({ kind: "accepted" });
  });

  it("and not when they caught up too slowly, or have not been heard since", () => {
    const node = committedLeader({ learners: ["n4"] });
    const wait = (ticks: number) => {
      for (let tick = 0; tick < ticks; tick++) {
        node.tick(1);
        node.hear(say("n2", 2, { kind: "heartbeatResponse", round: 0 }));
      }
    };
    wait(electionTicksMin);
    node.hear(accepted("n4", 2, 2));
    expect(node.raft.proposeMembership(promote("n4"))).toMatchObject({ reason: "NOT_CAUGHT_UP" });
    node.hear(accepted("n4", 2, 2));
    wait(electionTicksMin);
    expect(node.raft.proposeMembership(promote("n4"))).toMatchObject({ reason: "NOT_CAUGHT_UP" });
  });
});

describe("a leader that is removed (thesis 4.2.2)", () => {
  it("leads until its removal is committed, and does not count itself", () => {
    const node = wholeLeader();
    node.raft.proposeMembership(remove("n1"));
    node.take();
    node.flush();
    node.hear(accepted("n2", 2, 3));
    expect(node.raft.status()).toMatchObject({ role: "leader", committed: 2 });
    node.hear(accepted("n3", 2, 3));
    expect(node.raft.status()).toMatchObject({ role: "follower", committed: 3 });
  });

  it("also while older entries are committed", () => {
    const node = wholeLeader();
    node.raft.propose(Uint8Array.of(1));
    node.raft.proposeMembership(remove("n1"));
    node.take();
    node.flush();
    for (const peer of ["n2", "n3"]) node.hear(accepted(peer, 2, 3));
    expect(node.raft.status()).toMatchObject({ role: "leader", committed: 3 });
  });

  it("and does not stand for election afterwards", () => {
    const node = wholeLeader();
    node.raft.proposeMembership(remove("n1"));
    node.take();
    node.flush();
    for (const peer of ["n2", "n3"]) node.hear(accepted(peer, 2, 3));
    node.tick(electionTicks * 3);
    expect(node.raft.status()).toMatchObject({ role: "follower", term: 2 });
  });
});

describe("a removal that would leave no living majority", () => {
  const refused = { kind: "refused", reason: "NO_LIVING_MAJORITY" };

  it("of a living voter is refused while another one is silent, and changes nothing", () => {
    const node = committedLeader();
    expect(node.raft.proposeMembership(remove("n2"))).toMatchObject(refused);
    expect(voters(node)).toEqual(["n1", "n2", "n3"]);
    expect(node.take().writes).toEqual([]);
  });

  it("is made by force", () => {
    const node = committedLeader();
    expect(node.raft.proposeMembership({ kind: "remove", id: idOf("n2"), force: true })).toMatchObject({
      kind: "accepted",
    });
    expect(voters(node)).toEqual(["n1", "n3"]);
  });

  it("is not that of the silent one, after which the living one can go too", () => {
    const node = committedLeader();
    expect(node.raft.proposeMembership(remove("n3"))).toMatchObject({ kind: "accepted" });
    node.take();
    node.flush();
    node.hear(accepted("n2", 2, 3));
    expect(node.raft.proposeMembership(remove("n2"))).toMatchObject({ kind: "accepted" });
  });

  it("is seen by who was heard within the shortest election timeout", () => {
    const node = wholeLeader();
    for (let tick = 0; tick < electionTicksMin; tick++) {
      node.tick(1);
      node.hear(say("n2", 2, { kind: "heartbeatResponse", round: 0 }));
    }
    expect(node.raft.proposeMembership(remove("n2"))).toMatchObject(refused);
    expect(node.raft.status().followers.map(({ isHeard }) => isHeard)).toEqual([true, false]);
    node.hear(say("n3", 2, { kind: "heartbeatResponse", round: 0 }));
    expect(node.raft.proposeMembership(remove("n2"))).toMatchObject({ kind: "accepted" });
  });

  it("and not by who was heard a moment ago, where its port refuses since", () => {
    const node = wholeLeader();
    node.tick(1);
    node.raft.peerRefused(idOf("n3"));
    expect(node.raft.proposeMembership(remove("n2"))).toMatchObject(refused);
    node.tick(1);
    node.hear(say("n3", 2, { kind: "heartbeatResponse", round: 0 }));
    expect(node.raft.proposeMembership(remove("n2"))).toMatchObject({ kind: "accepted" });
  });

  it("counts neither the leader that removes itself nor learners", () => {
    const node = committedLeader({ learners: ["n4"] });
    node.hear(accepted("n4", 2, 2));
    expect(node.raft.proposeMembership(remove("n1"))).toMatchObject(refused);
    expect(node.raft.proposeMembership(remove("n4"))).toMatchObject({ kind: "accepted" });
  });
});

describe("an empty disk", () => {
  const blank = () => createLoneNode({ start: blankStart });

  it("grants neither votes nor pre-votes", () => {
    const node = blank();
    node.hear(say("n2", 2, { kind: "preVoteRequest", forTerm: term(3), last: at(9, 2) }));
    node.hear(say("n2", 3, { kind: "voteRequest", last: at(9, 2), transfer: true }));
    node.take();
    node.flush();
    expect(node.raft.status().votedFor).toBeUndefined();
  });

  it("is not filled by a leader that counts it as a voter, and answers nothing that would count", () => {
    const node = blank();
    node.hear(append("n2", 2, at(noIndex, 0), [1, 2]));
    node.hear(say("n2", 2, { kind: "heartbeat", commit: noIndex, round: 3 }));
    node.take();
    node.flush();
    expect(node.take().messages).toEqual([]);
    expect(node.raft.status().last.index).toBe(0);
  });

  it("takes up nothing that was meant for another disk at its place", () => {
    const node = createLoneNode();
    node.hear({ ...say("n2", 9, { kind: "staleTerm" }), to: idOf("n7") });
    expect(node.raft.status().term).toBe(1);
  });
});

describe("handing leadership over (thesis 3.10)", () => {
  it("takes no more proposals, and tells the heir to campaign once it has everything", () => {
    const node = committedLeader();
    node.raft.propose(Uint8Array.of(1));
    node.take();
    node.flush();
    node.raft.transferLeadership(idOf("n2"));
    expect(node.raft.propose(Uint8Array.of(1))).toMatchObject({ reason: "TRANSFERRING", leader: idOf("n2") });
    expect(node.take().messages.filter((message) => message.kind === "timeoutNow")).toEqual([]);
    node.hear(accepted("n2", 2, 3));
    expect(node.take().messages).toContainEqual({ kind: "timeoutNow", from: idOf("n1"), to: idOf("n2"), term: 2 });
  });

  it("the heir campaigns at once, without pre-votes", () => {
    const node = createLoneNode();
    node.hear(append("n2", 1, at(1, 1), []));
    node.hear(say("n2", 1, { kind: "timeoutNow" }));
    node.take();
    node.flush();
    expect(node.take().messages).toMatchObject([
      { kind: "voteRequest", transfer: true, term: 2 },
      { kind: "voteRequest", transfer: true, term: 2 },
    ]);
  });

  it("is taken from the leader only", () => {
    const node = createLoneNode();
    node.hear(append("n2", 1, at(1, 1), []));
    node.hear(say("n3", 1, { kind: "timeoutNow" }));
    expect(node.raft.status()).toMatchObject({ role: "follower", term: 1 });
  });

  it("is given up after an election timeout", () => {
    const node = committedLeader();
    node.raft.transferLeadership(idOf("n2"));
    for (let tick = 0; tick < electionTicksMin; tick++) {
      node.tick(1);
      node.hear(say("n3", 2, { kind: "heartbeatResponse", round: 0 }));
    }
    expect(node.raft.propose(Uint8Array.of(1))).toMatchObject({ kind: "accepted" });
  });

  it("asks again with each heartbeat, since the request may be lost", () => {
    const node = committedLeader();
    node.raft.transferLeadership(idOf("n2"));
    node.take();
    node.tick(heartbeatTicks);
    expect(node.take().messages.map((message) => message.kind)).toContain("timeoutNow");
  });

  it.each([
    ["to itself", "n1", "NOT_A_VOTER"],
    ["to a learner", "n4", "NOT_A_VOTER"],
    ["to nobody", "n9", "NOT_A_VOTER"],
  ])("is refused %s", (_, to, reason) => {
    const node = committedLeader({ learners: ["n4"] });
    expect(node.raft.transferLeadership(idOf(to))).toMatchObject({ kind: "refused", reason });
  });

  it("is refused while another one is under way, and by whoever does not lead", () => {
    const node = committedLeader();
    node.raft.transferLeadership(idOf("n2"));
    expect(node.raft.transferLeadership(idOf("n3"))).toMatchObject({ reason: "TRANSFERRING" });
    expect(createLoneNode().raft.transferLeadership(idOf("n3"))).toMatchObject({ reason: "NOT_LEADER" });
  });
});
