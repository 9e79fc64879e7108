import { describe, expect } from "vitest";
import { isStoreKey } from "../../store-key.ts";
import type { CreateCluster } from "../cluster.ts";
import { promise, put, remove } from "../scenario.ts";

export function describeOrder(create: CreateCluster): void {
  describe("C1 one order", () => {
    promise(
      create,
      "a batch shows in one event with all its changes, at one revision, on every candidate",
      async (s) => {
        const all = await s.joinAll();
        const leader = await s.leaderOf(all);
        const revision = await leader.commit(put("/test/a", "1"), put("/test/b", "2"), put("/test/c", "3"));
        await s.agree(all);
        for (const process of all) {
          const changes = process.batches.get(revision) ?? [];
          expect(changes.map(({ key }) => key).filter((key) => !isStoreKey(key))).toEqual([
            "/test/a",
            "/test/b",
            "/test/c",
          ]);
        }
      },
    );

    promise(create, "revisions grow, and appends of one caller are committed in the order of the calls", async (s) => {
      const leader = await s.leaderOf(await s.joinAll());
      const appends = Array.from({ length: 50 }, (_, n) => leader.append(put("/test/n", String(n))));
      const outcomes = await s.settled(Promise.all(appends), "50 appends settle");
      const revisions = outcomes.flatMap((outcome) => (outcome.kind === "committed" ? [outcome.revision] : []));
      expect(revisions).toHaveLength(50);
      expect(revisions).toEqual([...new Set(revisions)].sort((left, right) => (left < right ? -1 : 1)));
      await s.cluster.until(() => leader.process.text("/test/n") === "49", "the last value is there");
    });

    promise(create, "a batch puts and deletes, and the deletion of an absent key leaves no change", async (s) => {
      const leader = await s.leaderOf(await s.joinAll());
      await leader.commit(put("/test/old", "1"));
      const revision = await leader.commit(remove("/test/old"), put("/test/new", "1"), remove("/test/never"));
      await s.cluster.until(() => (leader.process.revision() ?? 0n) >= revision, "the batch is seen");
      expect(leader.process.text("/test/old")).toBeUndefined();
      expect(leader.process.text("/test/new")).toBe("1");
      const keys = leader.process.batches.get(revision)?.map(({ key }) => key) ?? [];
      expect(keys.filter((key) => !isStoreKey(key)).sort()).toEqual(["/test/new", "/test/old"]);
    });

    promise(create, "a put of the same value is a change too", async (s) => {
      const leader = await s.leaderOf(await s.joinAll());
      const first = await leader.commit(put("/test/same", "1"));
      const second = await leader.commit(put("/test/same", "1"));
      expect(second > first).toBe(true);
      await s.cluster.until(() => (leader.process.revision() ?? 0n) >= second, "the second put is seen");
      expect(leader.process.batches.get(second)?.some(({ key }) => key === "/test/same")).toBe(true);
    });
  });
}
