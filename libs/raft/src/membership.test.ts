import { describe, expect, it, test } from "vitest";
import { changeMembership, type Member, type Membership, type MembershipChange } from "./membership.ts";
import { idOf } from "./testing/scripted-cluster.ts";

const member = (name: string): Member => ({ id: idOf(name), address: name });
const of = (voters: string[], learners: string[] = []): Membership => ({
  voters: voters.map(member),
  learners: learners.map(member),
});

describe("a change of the membership", () => {
  test.each<{ says: string; from: Membership; change: MembershipChange; to: Membership }>([
    {
      says: "brings a member in as a learner",
      from: of(["n1"]),
      change: { kind: "addLearner", member: member("n2") },
      to: of(["n1"], ["n2"]),
    },
    {
      says: "makes a learner a voter",
      from: of(["n1"], ["n2", "n3"]),
      change: { kind: "promote", id: idOf("n2") },
      to: of(["n1", "n2"], ["n3"]),
    },
    { says: "removes a voter", from: of(["n1", "n2"]), change: { kind: "remove", id: idOf("n1") }, to: of(["n2"]) },
    {
      says: "removes a learner",
      from: of(["n1"], ["n2"]),
      change: { kind: "remove", id: idOf("n2") },
      to: of(["n1"]),
    },
  ])("$says", ({ from, change, to }) => {
    expect(changeMembership(from, change)).toEqual({ kind: "changed", membership: to });
  });

  test.each<{ says: string; from: Membership; change: MembershipChange; reason: string }>([
    {
      says: "a member that is there already",
      from: of(["n1"], ["n2"]),
      change: { kind: "addLearner", member: member("n2") },
      reason: "ALREADY_MEMBER",
    },
    {
      says: "the promotion of a voter",
      from: of(["n1"]),
      change: { kind: "promote", id: idOf("n1") },
      reason: "ALREADY_MEMBER",
    },
    {
      says: "the promotion of nobody",
      from: of(["n1"]),
      change: { kind: "promote", id: idOf("n7") },
      reason: "UNKNOWN_MEMBER",
    },
    {
      says: "the removal of nobody",
      from: of(["n1"]),
      change: { kind: "remove", id: idOf("n7") },
      reason: "UNKNOWN_MEMBER",
    },
    {
      says: "the removal of the last voter",
      from: of(["n1"], ["n2"]),
      change: { kind: "remove", id: idOf("n1") },
      reason: "LAST_VOTER",
    },
  ])("refuses $says", ({ from, change, reason }) => {
    expect(changeMembership(from, change)).toEqual({ kind: "refused", reason });
  });

  it("leaves the membership that it begins with as it was", () => {
    const before = of(["n1", "n2"]);
    changeMembership(before, { kind: "remove", id: idOf("n2") });
    expect(before).toEqual(of(["n1", "n2"]));
  });
});
