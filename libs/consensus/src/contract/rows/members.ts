import { controllerId, directoryId } from "@tidemark/ids";
import { describe, expect } from "vitest";
import { ConsensusError, type MemberChange } from "../../consensus.ts";
import type { CreateCluster } from "../cluster.ts";
import { promise, put } from "../scenario.ts";

export function describeMembers(create: CreateCluster): void {
  describe("members", () => {
    promise(create, "every living candidate is described, with where it is reached", async (s) => {
      const all = await s.joinAll();
      await s.agree(all);
      for (const { consensus } of all) {
        const members = await s.settled(consensus.describeMembers(), "the members are described");
        expect(members).toEqual(
          ([1, 2, 3] as const).map((candidate) => ({ ...s.cluster.identity(candidate), voter: true, alive: true })),
        );
      }
    });

    promise(create, "a candidate that was killed is described as one that does not live", async (s) => {
      const [first, second] = await s.joinAll();
      s.cluster.kill(3);
      const living = [first, second];
      await s.cluster.until(() => living.every(({ tree }) => !tree.has("/controllers/3")), "it is found gone");
      for (const { consensus } of living) {
        const members = await s.settled(consensus.describeMembers(), "the members are described");
        expect(members).toEqual(
          ([1, 2, 3] as const).map((candidate) => ({
            ...s.cluster.identity(candidate),
            voter: true,
            alive: candidate !== 3,
          })),
        );
      }
    });

    promise(create, "who may change the members is said by type", async (s) => {
      const leader = await s.leaderOf(await s.joinAll());
      const changes: readonly MemberChange[] = [
        {
          kind: "addVoter",
          member: {
            controllerId: controllerId(9),
            directoryId: directoryId("00000000-0000-4000-8000-000000000009"),
            endpoint: "controller-9.test:4650",
          },
        },
        { kind: "removeVoter", ...s.cluster.identity(3) },
      ];
      for (const change of changes) {
        const outcome = await s.settled(leader.process.consensus.changeMembers(change), "the change is answered");
        if (s.cluster.managesMembers) expect(outcome.kind).toBe("changed");
        else expect(outcome).toMatchObject({ kind: "refused", reason: "MEMBERS_NOT_MANAGED_HERE" });
      }
    });
  });

  describe("a candidate's life", () => {
    promise(create, "joining twice is refused", async (s) => {
      const { consensus } = await s.join(1);
      const error = await s.settled(
        consensus.join(s.cluster.identity(1)).catch((reason: unknown) => reason),
        "the join is refused",
      );
      expect(error).toMatchObject({ code: "ALREADY_JOINED" });
    });

    for (const endpoint of ["", "controller-1", "controller-1:", ":4650", "a b:4650", "http://a:4650"]) {
      promise(create, `joining with the endpoint ${JSON.stringify(endpoint)} is refused`, async (s) => {
        const { consensus } = await s.start(1);
        const error = await s.settled(
          consensus.join({ ...s.cluster.identity(1), endpoint }).catch((reason: unknown) => reason),
          "the join is refused",
        );
        expect(error).toMatchObject({ code: "INVALID_IDENTITY" });
      });
    }

    promise(create, "closing settles what is pending, ends what goes on, and refuses what comes", async (s) => {
      const [first, second, third] = await s.joinAll();
      const leader = await s.leaderOf([first]);
      const appends = Array.from({ length: 50 }, (_, n) =>
        first.consensus.append(leader.epoch, [put(`/test/${n}`, "1")]),
      );
      const closing = [first.consensus.close(), first.consensus.close()];
      const outcomes = await s.settled(Promise.all(appends), "the appends settle");
      await s.settled(Promise.all(closing), "it is closed");
      const next = await s.leaderOf([second, third]);
      await next.commit(put("/test/after", "1"));
      await s.agree([second, third]);
      outcomes.forEach((outcome, n) => {
        if (outcome.kind === "committed") expect(second.text(`/test/${n}`)).toBe("1");
        if (outcome.kind === "refused") expect(second.text(`/test/${n}`)).toBeUndefined();
      });
      expect(first.belief()).toEqual({ kind: "none" });
      expect(await first.consensus.append(leader.epoch, [put("/test/x", "1")])).toMatchObject({ reason: "CLOSED" });
      for (const call of [
        () => first.consensus.join(s.cluster.identity(1)),
        () => first.consensus.sync(new AbortController().signal),
        () => first.consensus.describeMembers(),
        () => first.consensus.changeMembers({ kind: "removeVoter", ...s.cluster.identity(3) }),
      ]) {
        const error = await call().catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(ConsensusError);
        expect(error).toMatchObject({ code: "CLOSED" });
      }
    });

    promise(create, "closing a candidate that is cut off does not wait for the store", async (s) => {
      const [first, second, third] = await s.joinAll();
      s.cluster.cut(1);
      await s.settled(first.consensus.close(), "it is closed");
      await s.leaderOf([second, third]);
    });
  });
}
