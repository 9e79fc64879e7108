import { directoryId } from "@tidemark/ids";
import { describe, expect } from "vitest";
import { ConsensusError } from "../../consensus.ts";
import type { CreateCluster } from "../cluster.ts";
import { promise, put } from "../scenario.ts";
import { commitMany } from "./watch.ts";

export function describeEphemeral(create: CreateCluster): void {
  describe("C7 ephemeral keys", () => {
    promise(create, "every living candidate has its key, and the leader has /controller", async (s) => {
      const all = await s.joinAll();
      await s.agree(all);
      for (const process of all) {
        expect([...process.tree.keys()]).toEqual(
          expect.arrayContaining(["/controller", "/controllers/1", "/controllers/2", "/controllers/3"]),
        );
        expect(JSON.parse(process.text("/controllers/2") ?? "")).toEqual({ ...s.cluster.identity(2) });
      }
    });

    promise(create, "the keys of a candidate that leaves vanish as an ordinary change", async (s) => {
      const [first, second, third] = await s.joinAll();
      await s.settled(third.consensus.close(), "the third leaves");
      await s.cluster.until(() => !first.tree.has("/controllers/3"), "its key is gone");
      await s.agree([first, second]);
      const deletions = [...second.batches.values()].flat().filter((change) => change.kind === "delete");
      expect(deletions.map(({ key }) => key)).toContain("/controllers/3");
    });

    promise(create, "32 the keys of a leader that was killed vanish, and another takes its place", async (s) => {
      const [first, second, third] = await s.joinAll();
      const before = await s.leaderOf([first]);
      s.cluster.kill(1);
      const leader = await s.leaderOf([second, third]);
      expect(leader.epoch).toBeGreaterThan(before.epoch);
      await s.cluster.until(() => !second.tree.has("/controllers/1"), "its key is gone");
    });

    promise(create, "32 the middle one of three leaves, and the order of the others is not disturbed", async (s) => {
      const [first, second, third] = await s.joinAll();
      const leader = await s.leaderOf([first]);
      await s.settled(second.consensus.close(), "the second leaves");
      await leader.commit(put("/test/a", "1"));
      await s.agree([first, third]);
      expect(first.belief()).toMatchObject({ kind: "leading", epoch: leader.epoch });
      s.cluster.kill(1);
      const next = await s.leaderOf([third]);
      expect(next.epoch).toBeGreaterThan(leader.epoch);
    });

    promise(create, "no key vanishes while its owner is alive and connected, whatever the load", async (s) => {
      const all = await s.joinAll();
      const leader = await s.leaderOf(all);
      for (let round = 0; round < 5; round++) {
        await commitMany(s, leader, 200);
        await s.cluster.compact();
      }
      await s.agree(all);
      const deletions = all.flatMap(({ batches }) =>
        [...batches.values()].flat().filter(({ kind }) => kind === "delete"),
      );
      expect(deletions).toEqual([]);
      expect(leader.process.belief()).toMatchObject({ kind: "leading", epoch: leader.epoch });
    });

    promise(create, "a candidate that was cut off and is back has its key again", async (s) => {
      const [first, , third] = await s.joinAll();
      s.cluster.cut(3);
      await s.cluster.until(() => !first.tree.has("/controllers/3"), "its key is gone");
      s.cluster.heal(3);
      await s.cluster.until(() => first.tree.has("/controllers/3"), "its key is back");
      await s.agree([first, third]);
      expect(third.belief().kind).toBe("following");
    });

    promise(create, "34b a stuck write binds nothing to an owner that is gone", async (s) => {
      const observer = await s.start(3);
      const first = await s.join(1);
      await s.leaderOf([first]);
      await s.join(2);
      const late = s.cluster.delayNextRequest(2, "silence");
      await s.settled(first.consensus.close(), "the first leaves");
      await s.settled(late.sent, "the second's claim is on its way");
      s.cluster.kill(2);
      await s.cluster.until(
        () => observer.revision() !== undefined && !observer.tree.has("/controllers/2"),
        "it is missed",
      );
      await s.settled(late.arrive(), "its claim arrives");
      await s.settled(observer.consensus.join(s.cluster.identity(3)), "the third joins");
      await (await s.leaderOf([observer])).commit(put("/test/a", "1"));
    });

    promise(create, "a candidate whose id was taken while it was away has it again when it is free", async (s) => {
      const first = await s.join(1);
      const second = await s.join(2);
      await s.cluster.until(() => first.tree.has("/controllers/2"), "the second is seen");
      s.cluster.cut(2);
      await s.cluster.until(() => !first.tree.has("/controllers/2"), "the second is missed");
      const usurper = await s.start(3);
      const identity = { ...s.cluster.identity(2), directoryId: s.cluster.identity(3).directoryId };
      await s.settled(usurper.consensus.join(identity), "another takes its id");
      s.cluster.heal(2);
      await s.agree([first, second, usurper]);
      expect(JSON.parse(second.text("/controllers/2") ?? "")).toMatchObject({ directoryId: identity.directoryId });
      await s.settled(usurper.consensus.close(), "the other leaves");
      await s.cluster.until(
        () => second.text("/controllers/2")?.includes(s.cluster.identity(2).directoryId) === true,
        "the second has its id again",
      );
    });

    promise(create, "a leader that is restarted at once does not wait for its own ghost", async (s) => {
      const first = await s.join(1);
      const before = await s.leaderOf([first]);
      s.cluster.kill(1);
      const again = await s.join(1);
      const leader = await s.leaderOf([again]);
      expect(leader.epoch).toBeGreaterThan(before.epoch);
      expect(again.beliefs.filter(({ kind }) => kind === "following")).toEqual([]);
      await leader.commit(put("/test/a", "1"));
    });

    promise(create, "24 a second living candidate under the same id is refused", async (s) => {
      await s.join(1);
      const other = await s.start(2);
      const identity = {
        ...s.cluster.identity(1),
        directoryId: directoryId("ffffffff-0000-4000-8000-000000000001"),
      };
      const error = await s.settled(
        other.consensus.join(identity).catch((reason: unknown) => reason),
        "the join is refused",
      );
      expect(error).toBeInstanceOf(ConsensusError);
      expect(error).toMatchObject({ code: "ID_TAKEN" });
      await s.settled(other.consensus.join(s.cluster.identity(2)), "it joins as itself");
    });
  });
}
