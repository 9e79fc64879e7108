import { describe, expect } from "vitest";
import type { AppendOutcome } from "../../consensus.ts";
import type { CreateCluster } from "../cluster.ts";
import { promise, put, remove } from "../scenario.ts";
import { commitMany, withoutStoreKeys } from "./watch.ts";

export function describeDurability(create: CreateCluster): void {
  describe("C8 durable", () => {
    promise(create, "every committed batch survives the crash of every process", async (s) => {
      const leader = await s.leaderOf(await s.joinAll());
      await commitMany(s, leader, 200);
      await leader.commit(put("/test/doomed", "1"));
      await leader.commit(remove("/test/doomed"), put("/test/last", "1"));
      await s.agree([leader.process]);
      const before = withoutStoreKeys(leader.process);
      await s.cluster.powerCut();
      const after = await s.leaderOf(await s.joinAll());
      await s.settled(after.process.consensus.sync(new AbortController().signal), "it is up to date");
      await s.cluster.until(() => after.process.text("/test/last") === "1", "it has read everything");
      expect(withoutStoreKeys(after.process)).toEqual(before);
    });

    promise(
      create,
      "of the appends that a power cut met, the committed are there and the refused are not",
      async (s) => {
        const leader = await s.leaderOf(await s.joinAll());
        const outcomes = new Map<number, AppendOutcome>();
        for (let n = 0; n < 300; n++) {
          leader.process.consensus.append(leader.epoch, [put(`/test/${n}`, "1")]).then(
            (outcome) => outcomes.set(n, outcome),
            () => {},
          );
        }
        await s.cluster.until(() => outcomes.size > 0, "the first of them is answered");
        await s.cluster.powerCut();
        const after = await s.leaderOf(await s.joinAll());
        await after.commit(put("/test/after", "1"));
        await s.agree([after.process]);
        for (const [n, outcome] of outcomes) {
          if (outcome.kind === "committed") expect(after.process.text(`/test/${n}`)).toBe("1");
          if (outcome.kind === "refused") expect(after.process.text(`/test/${n}`)).toBeUndefined();
        }
      },
    );

    promise(create, "compaction and power cuts in turn lose nothing", async (s) => {
      for (let round = 0; round < 3; round++) {
        const leader = await s.leaderOf(await s.joinAll());
        await s.cluster.until(
          () => round === 0 || leader.process.text("/test/round") === String(round - 1),
          "the last round is there",
        );
        await commitMany(s, leader, 20);
        await s.cluster.compact();
        await leader.commit(put("/test/round", String(round)), put(`/test/rounds/${round}`, "1"));
        await s.cluster.powerCut();
      }
      const last = await s.leaderOf(await s.joinAll());
      expect([...last.process.tree.keys()]).toEqual(
        expect.arrayContaining(["/test/rounds/0", "/test/rounds/1", "/test/rounds/2"]),
      );
    });

    promise(create, "revisions go on growing behind a power cut", async (s) => {
      const before = await (await s.leaderOf(await s.joinAll())).commit(put("/test/a", "1"));
      await s.cluster.powerCut();
      const after = await (await s.leaderOf(await s.joinAll())).commit(put("/test/b", "1"));
      expect(after > before).toBe(true);
    });
  });

  describe("C9 barrier", () => {
    promise(create, "sync on every candidate waits for all that was committed before", async (s) => {
      const all = await s.joinAll();
      const leader = await s.leaderOf(all);
      for (let n = 0; n < 20; n++) {
        const revision = await leader.commit(put("/test/n", String(n)));
        for (const process of all) {
          const synced = await s.settled(process.consensus.sync(new AbortController().signal), "it is up to date");
          expect(synced >= revision).toBe(true);
          await s.cluster.until(() => (process.revision() ?? 0n) >= synced, "its watch is read up to there");
          expect(process.text("/test/n")).toBe(String(n));
        }
      }
    });

    promise(
      create,
      "sync of a candidate that is cut off waits until it is back, and then has everything",
      async (s) => {
        const [first, , third] = await s.joinAll();
        const leader = await s.leaderOf([first]);
        s.cluster.cut(3);
        let synced: bigint | undefined;
        const syncing = third.consensus.sync(new AbortController().signal).then((revision) => {
          synced = revision;
        });
        const revision = await leader.commit(put("/test/a", "1"));
        await s.cluster.until(() => !first.tree.has("/controllers/3"), "the third is missed");
        expect(synced).toBeUndefined();
        s.cluster.heal(3);
        await s.settled(syncing, "sync returns");
        expect((synced ?? 0n) >= revision).toBe(true);
      },
    );

    promise(create, "sync waits for a watch that is behind", async (s) => {
      const [first, second] = await s.joinAll();
      const leader = await s.leaderOf([first]);
      await s.agree([first, second]);
      s.cluster.holdWatch(2);
      const revision = await leader.commit(put("/test/a", "1"));
      let synced: bigint | undefined;
      const syncing = second.consensus.sync(new AbortController().signal).then((at) => {
        synced = at;
      });
      await s.settled(first.consensus.sync(new AbortController().signal), "the first is up to date");
      expect(synced).toBeUndefined();
      s.cluster.releaseWatch(2);
      await s.settled(syncing, "sync returns");
      expect((synced ?? 0n) >= revision).toBe(true);
    });

    promise(create, "sync of a leader that was stalled has what its successor committed", async (s) => {
      const [first, second, third] = await s.joinAll();
      await s.leaderOf([first]);
      s.cluster.stall(1);
      const syncing = first.consensus.sync(new AbortController().signal);
      const leader = await s.leaderOf([second, third]);
      const revision = await leader.commit(put("/test/a", "1"));
      s.cluster.resume(1);
      const again = first.consensus.sync(new AbortController().signal);
      await s.settled(syncing, "the first sync returns");
      expect((await s.settled(again, "the second sync returns")) >= revision).toBe(true);
      await s.agree([first, second, third]);
      expect(first.text("/test/a")).toBe("1");
    });

    promise(create, "sync ends with its signal's reason", async (s) => {
      const first = await s.join(1);
      s.cluster.cut(1);
      const abort = new AbortController();
      const syncing = first.consensus.sync(abort.signal).catch((error: unknown) => error);
      abort.abort(new Error("the deadline passed"));
      expect(await s.settled(syncing, "sync ends")).toMatchObject({ message: "the deadline passed" });
      const late = first.consensus.sync(abort.signal).catch((error: unknown) => error);
      expect(await s.settled(late, "sync ends")).toMatchObject({ message: "the deadline passed" });
    });
  });
}
