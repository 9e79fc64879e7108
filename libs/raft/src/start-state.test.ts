import { describe, expect, it } from "vitest";
import type { Entry } from "./entry.ts";
import { logIndex, noIndex, term } from "./ids.ts";
import { createRaft } from "./raft.ts";
import { blankStart, checkedStart, formattedStart, StartError, type StartState } from "./start-state.ts";
import { idOf } from "./testing/scripted-cluster.ts";

const entry = (index: number, of: number): Entry => ({ kind: "noop", index: logIndex(index), term: term(of) });
const member = { id: idOf("n1"), address: "n1" };
const formatted = formattedStart([member]);
const withLog = (entries: readonly Entry[], hardTerm = 5): StartState => ({
  ...formatted,
  hardState: { term: term(hardTerm), votedFor: undefined },
  entries,
});

function reasonOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof StartError) return error.reason;
    throw error;
  }
}

describe("a node starts from its disk", () => {
  it.each([
    ["a gap between entries", withLog([entry(2, 2), entry(4, 2)]), "LOG_GAP"],
    ["falling terms", withLog([entry(2, 3), entry(3, 2)]), "LOG_GAP"],
    ["a gap behind the snapshot", withLog([entry(3, 2)]), "LOG_GAP"],
    ["a hard state that is older than the log", withLog([entry(2, 6)]), "TERM_FORGOTTEN"],
  ])("and refuses %s", (_, start, reason) => {
    expect(reasonOf(() => checkedStart(start))).toBe(reason);
  });

  it("leaves out the entries that the snapshot holds", () => {
    const snapshot = { ...formatted.snapshot, index: logIndex(3), term: term(2) };
    const start = { ...withLog([entry(2, 2), entry(3, 2), entry(4, 3)]), snapshot };
    expect(checkedStart(start).entries).toEqual([entry(4, 3)]);
  });

  it("leaves out all entries where they contradict the snapshot, as after a crash in the middle of installing it", () => {
    const snapshot = { ...formatted.snapshot, index: logIndex(3), term: term(4) };
    expect(checkedStart({ ...withLog([entry(2, 2), entry(3, 2), entry(4, 2)]), snapshot }).entries).toEqual([]);
    expect(checkedStart({ ...withLog([entry(2, 2)]), snapshot }).entries).toEqual([]);
  });

  it("with the membership of its log, which may be newer than the snapshot's", () => {
    const membership = { voters: [member, { id: idOf("n2"), address: "n2" }], learners: [] };
    const start = withLog([{ kind: "membership", index: logIndex(2), term: term(1), membership }]);
    expect(start1(start).status().membership).toEqual(membership);
  });

  it("and an empty one knows nobody, leads nobody, and never campaigns", () => {
    const raft = start1(blankStart);
    for (let tick = 0; tick < 100; tick++) raft.tick();
    expect(raft.status()).toMatchObject({ role: "follower", term: 0, last: { index: noIndex } });
  });

  it("and refuses a timing that lets elections break out between heartbeats", () => {
    expect(() => start1(formatted, 9)).toThrow("less than five heartbeats");
  });
});

describe("formatting", () => {
  it.each([
    ["no voter", [], "NO_VOTERS"],
    ["one directory id twice", [member, member], "DUPLICATE_MEMBER"],
  ])("refuses %s", (_, voters, reason) => {
    expect(reasonOf(() => formattedStart(voters))).toBe(reason);
  });
});

function start1(start: StartState, electionTicksMin = 10) {
  const timing = { heartbeatTicks: 2, electionTicksMin, drawElectionTicks: () => 15 };
  return createRaft({ id: member.id, start, timing });
}
