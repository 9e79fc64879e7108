import type { MemberChange } from "@tidemark/consensus";
import { controllerId, directoryId } from "@tidemark/ids";
import { describe, expect, it } from "vitest";
import { createManualCluster } from "../testing/manual-cluster.ts";
import { identityOf, spareNode } from "../testing/raft-cluster.ts";

describe("members", () => {
  it("are changed by the leader alone", async () => {
    const cluster = await createManualCluster();
    const [, second] = await cluster.joinAll();
    const change: MemberChange = { kind: "removeVoter", ...cluster.identity(3) };
    const outcome = await cluster.settled(second.consensus.changeMembers(change));
    expect(outcome).toMatchObject({ kind: "refused", reason: "NOT_LEADER" });
    await cluster.close();
  });

  it("two with one id are refused, and so is the removal of who is none", async () => {
    const cluster = await createManualCluster();
    const [first] = await cluster.joinAll();
    const changes: readonly MemberChange[] = [
      { kind: "addVoter", member: { ...identityOf(9), controllerId: controllerId(2) } },
      { kind: "removeVoter", controllerId: controllerId(3), directoryId: cluster.identity(2).directoryId },
      {
        kind: "removeVoter",
        controllerId: controllerId(8),
        directoryId: directoryId("00000000-0000-4000-8000-000000000008"),
      },
    ];
    for (const change of changes) {
      const outcome = await cluster.settled(first.consensus.changeMembers(change));
      expect(outcome).toMatchObject({ kind: "refused", reason: "INVALID_MEMBER" });
    }
    await cluster.close();
  });

  it("a leader that removes itself is told that it is done, and another one leads", async () => {
    const cluster = await createManualCluster();
    const [first, second, third] = await cluster.joinAll();
    const change: MemberChange = { kind: "removeVoter", ...cluster.identity(1) };
    const outcome = await cluster.settled(first.consensus.changeMembers(change));
    expect(outcome).toMatchObject({ kind: "changed", members: [{ controllerId: 2 }, { controllerId: 3 }] });
    await cluster.until(() => [second, third].some(({ belief }) => belief().kind === "leading"), "another leads");
    expect(first.belief().kind).not.toBe("leading");
    await cluster.close();
  });

  it("the one that was asked for has the place when the leader resigns, and any that can where it cannot", async () => {
    const cluster = await createManualCluster();
    const all = await cluster.joinAll();
    const leads = (node: number) => all[node - 1]?.belief().kind === "leading";
    cluster.stores().get(1)?.node.preferHeir(cluster.identity(3).directoryId);
    await cluster.settled(all[0].consensus.resign());
    await cluster.until(() => leads(3), "the third leads");
    cluster.kill(2);
    cluster.stores().get(3)?.node.preferHeir(cluster.identity(2).directoryId);
    await cluster.wait(3000);
    await cluster.settled(all[2].consensus.resign());
    await cluster.until(() => leads(1), "the first leads");
    await cluster.close();
  });

  it("the last voter stays", async () => {
    const cluster = await createManualCluster();
    const [first] = await cluster.joinAll();
    for (const member of [3, 2, 1] as const) {
      const outcome = await cluster.settled(
        first.consensus.changeMembers({ kind: "removeVoter", ...cluster.identity(member) }),
      );
      if (member === 1) {
        expect(outcome).toMatchObject({ kind: "refused", reason: "INVALID_MEMBER" });
        expect(outcome).toMatchObject({ message: expect.stringContaining("last voter") as string });
      } else {
        expect(outcome.kind).toBe("changed");
      }
    }
    expect((await cluster.settled(first.append("/test/alone", "1"))).kind).toBe("committed");
    await cluster.close();
  });

  it("a voter stays where no majority of the others lives: who is silent is named, and force has its way", async () => {
    const cluster = await createManualCluster();
    const [first] = await cluster.joinAll();
    cluster.kill(3);
    await cluster.wait(1000);
    const removal: MemberChange = { kind: "removeVoter", ...cluster.identity(2) };
    const outcome = await cluster.settled(first.consensus.changeMembers(removal));
    expect(outcome).toMatchObject({ kind: "refused", reason: "NO_LIVING_MAJORITY" });
    expect(outcome).toMatchObject({ message: expect.stringMatching(/silent: controller 3$/) as string });
    expect((await cluster.settled(first.append("/test/goes-on", "1"))).kind).toBe("committed");
    const forced = first.consensus.changeMembers({ ...removal, force: true });
    expect((await cluster.settled(forced)).kind).toBe("unknown");
    // Who was removed has not heard of it, and could be elected by the third.
    cluster.kill(2);
    await cluster.restartNode(3);
    await cluster.until(() => first.belief().kind === "leading", "the first leads with the third");
    const members = await first.consensus.describeMembers();
    expect(members.map(({ controllerId: id }) => id)).toEqual([1, 3]);
    await cluster.close();
  });

  it("one that cannot be reached stays a learner, holds up nothing, and becomes a voter when it is asked for again", async () => {
    const cluster = await createManualCluster();
    const [first] = await cluster.joinAll();
    const spare = identityOf(spareNode);
    const described = async () =>
      (await first.consensus.describeMembers()).find(({ directoryId: id }) => id === spare.directoryId);
    const add = () => cluster.settled(first.consensus.changeMembers({ kind: "addVoter", member: spare }));
    cluster.cut(spareNode);
    expect(await add()).toMatchObject({ kind: "refused", reason: "CHANGE_IN_PROGRESS" });
    expect((await cluster.settled(first.append("/test/a", "1"))).kind).toBe("committed");
    expect(await described()).toEqual({ ...spare, voter: false, alive: false });
    cluster.heal(spareNode);
    expect(await add()).toMatchObject({ kind: "changed" });
    expect(await described()).toMatchObject({ voter: true });
    await cluster.close();
  });

  it("a learner that was never reached is removed again", async () => {
    const cluster = await createManualCluster();
    const [first] = await cluster.joinAll();
    const absent = identityOf(7);
    const added = await cluster.settled(first.consensus.changeMembers({ kind: "addVoter", member: absent }));
    expect(added).toMatchObject({ kind: "refused", reason: "CHANGE_IN_PROGRESS" });
    const removed = await cluster.settled(first.consensus.changeMembers({ kind: "removeVoter", ...absent }));
    expect(removed).toMatchObject({ kind: "changed" });
    expect((await first.consensus.describeMembers()).map(({ controllerId: id }) => id)).toEqual([1, 2, 3]);
    await cluster.close();
  });

  it("are shown by their leader with how far each has come, and since when it is silent", async () => {
    const cluster = await createManualCluster();
    const [first] = await cluster.joinAll();
    const leader = cluster.stores().get(1);
    const shown = (node: 1 | 2 | 3) => leader?.quorum().members.get(cluster.identity(node).directoryId);
    cluster.cut(3);
    for (let n = 0; n < 5; n++) await cluster.settled(first.append(`/test/${n}`, "1"));
    const { term, committed, last } = leader?.node.raft.status() ?? {};
    expect(leader?.quorum()).toMatchObject({ term, commit: committed });
    for (const node of [1, 2] as const) expect(shown(node)).toMatchObject({ match: last?.index, lag: 0 });
    const before = shown(3) ?? { match: 0, lag: 0, lastContactMs: 0 };
    expect(before.lag).toBeGreaterThanOrEqual(5);
    expect(before.match + before.lag).toBe(last?.index);
    await cluster.wait(2_000);
    expect(shown(3)?.lastContactMs).toBeGreaterThanOrEqual(before.lastContactMs + 1_900);
    expect(shown(2)?.lastContactMs).toBeLessThan(1_000);
    expect(cluster.stores().get(2)?.quorum()).toMatchObject({ term, members: new Map() });
    await cluster.close();
  });

  it("40 an empty disk under an old id neither votes nor is filled", async () => {
    const cluster = await createManualCluster();
    const [first, second] = await cluster.joinAll();
    await cluster.settled(first.append("/test/a", "1"));
    await cluster.loseDisk(3);
    await cluster.restartNode(3);
    await cluster.wait(2_000);
    const blank = cluster.stores().get(3)?.node;
    expect(blank?.raft.status()).toMatchObject({ role: "follower", last: { index: 0 } });
    expect(cluster.events).toContainEqual({
      node: 3,
      event: {
        kind: "raft",
        event: expect.objectContaining({ kind: "messageRefused", reason: "blankVoter" }) as unknown,
      },
    });
    cluster.kill(1);
    await cluster.wait(20_000);
    expect(second.belief().kind).not.toBe("leading");
    expect(blank?.raft.status().votedFor).toBeUndefined();
    await cluster.restartNode(1);
    await cluster.until(() => second.belief().kind === "leading", "two that remember elect one of them");
    await cluster.close();
  });
});

describe("a leader that removes itself", () => {
  it("is told that it is done, and another leads", async () => {
    const cluster = await createManualCluster();
    const [first, second, third] = await cluster.joinAll();
    const removal = first.consensus.changeMembers({ kind: "removeVoter", ...cluster.identity(1) });
    expect((await cluster.settled(removal)).kind).toBe("changed");
    await cluster.until(() => [second, third].some(({ belief }) => belief().kind === "leading"), "another leads");
    await cluster.close();
  });
});

describe("a member that is far behind", () => {
  it("41 gets a snapshot in pieces, also where it dies amid them", async () => {
    const cluster = await createManualCluster();
    const [first] = await cluster.joinAll();
    const value = "x".repeat(60_000);
    cluster.cut(3);
    for (let n = 0; n < 40; n++) await cluster.settled(first.append(`/test/${n}`, value));
    await cluster.compact();
    const sent = () =>
      cluster.events.filter(({ event }) => event.kind === "raft" && event.event.kind === "snapshotSending");
    // The one that formatting writes, at index 1, is loaded at each start.
    const loaded = () =>
      cluster.events.filter(({ node, event }) => node === 3 && event.kind === "snapshotLoaded" && event.index > 1);
    cluster.heal(3);
    await cluster.until(() => sent().length > 0, "a snapshot is being sent");
    await cluster.wait(3);
    expect(loaded()).toEqual([]);
    cluster.kill(3);
    await cluster.restartNode(3);
    await cluster.until(
      () => cluster.stores().get(3)?.node.replica.get("/test/39") !== undefined,
      "the third has the snapshot",
    );
    expect(loaded()).toMatchObject([{ event: { bytes: expect.any(Number) as number } }]);
    await cluster.close();
  });
});
