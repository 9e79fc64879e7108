import { describe, expect } from "vitest";
import { utf8 } from "../../bytes.ts";
import { isStoreKey } from "../../store-key.ts";
import { type CreateCluster, candidateNumbers } from "../cluster.ts";
import { nextEvent, promise, put } from "../scenario.ts";
import type { Watched } from "../watched.ts";

export function describeLeadership(create: CreateCluster): void {
  describe("C3 one leader per epoch", () => {
    promise(create, "of three candidates that join at once exactly one leads", async (s) => {
      const all = await Promise.all(candidateNumbers.map((candidate) => s.start(candidate)));
      const joins = all.map((process) => process.consensus.join(s.cluster.identity(process.candidate)));
      await s.settled(Promise.all(joins), "all three join");
      const leader = await s.leaderOf(all);
      await s.cluster.until(
        () => all.every((process) => process === leader.process || process.belief().kind === "following"),
        "the others follow",
      );
      expect(leader.epoch).toBeGreaterThan(0);
    });

    promise(create, "epochs grow from leader to leader", async (s) => {
      const all = await s.joinAll();
      let leader = await s.leaderOf(all);
      for (let round = 0; round < 5; round++) {
        const before = leader;
        await s.settled(before.process.consensus.resign(), "the leader resigns");
        leader = await s.leaderOf(all.filter((process) => process !== before.process));
        expect(leader.epoch).toBeGreaterThan(before.epoch);
      }
    });

    promise(create, "epochs grow through restarts of everything", async (s) => {
      let last = 0;
      for (let round = 0; round < 3; round++) {
        const leader = await s.leaderOf(await s.joinAll());
        expect(leader.epoch).toBeGreaterThan(last);
        last = leader.epoch;
        await s.cluster.powerCut();
      }
    });

    promise(create, "32 a candidate whose claim lost its answer ends up with the truth", async (s) => {
      const first = await s.start(1);
      const second = await s.start(2);
      await s.settled(first.consensus.join(s.cluster.identity(1)), "the first joins");
      const before = await s.leaderOf([first]);
      await s.settled(second.consensus.join(s.cluster.identity(2)), "the second joins");
      s.cluster.loseNextAnswer(2);
      await s.settled(first.consensus.resign(), "the first resigns");
      const leader = await s.leaderOf([first, second]);
      expect(leader.epoch).toBeGreaterThan(before.epoch);
      await leader.commit(put("/test/a", "1"));
    });

    promise(
      create,
      "34d a claim that finds /controller as it was, though another led meanwhile, makes no leader",
      async (s) => {
        const [first, second, third] = await s.joinAll();
        const late = s.cluster.delayNextRequest(2);
        await s.settled(first.consensus.close(), "the first leaves");
        await s.settled(late.sent, "the second's claim is on its way");
        s.cluster.holdWatch(2);
        const leader = await s.leaderOf([third]);
        await leader.commit(put("/test/a", "1"));
        await s.settled(third.consensus.close(), "the third leaves");
        await s.settled(late.arrive(), "the second's claim arrives");
        s.cluster.releaseWatch(2);
        const after = await s.leaderOf([second]);
        await after.commit(put("/test/b", "1"));
        expect(after.epoch).toBeGreaterThan(leader.epoch);
      },
    );

    promise(create, "34d a claim that arrives after another was elected makes no leader", async (s) => {
      const [first, second, third] = await s.joinAll();
      const late = s.cluster.delayNextRequest(2);
      await s.settled(first.consensus.resign(), "the first resigns");
      const leader = await s.leaderOf([second, third]);
      if (leader.process === third) await s.settled(late.sent, "the second's claim is on its way");
      await leader.commit(put("/test/a", "1"));
      s.cluster.kill(2);
      await s.settled(late.arrive(), "the second's claim arrives");
      const after = await s.leaderOf([first, third]);
      await after.commit(put("/test/b", "1"));
      expect(after.epoch).toBeGreaterThanOrEqual(leader.epoch);
    });
  });

  describe("C4 announced late, lost early", () => {
    promise(create, "a leader is announced after its watches were given all that was committed before", async (s) => {
      const all = await s.joinAll();
      let leader = await s.leaderOf(all);
      for (let round = 0; round < 3; round++) {
        const before = leader;
        const last = await before.commit(put("/test/round", String(round)));
        await s.settled(before.process.consensus.resign(), "the leader resigns");
        leader = await s.leaderOf(all.filter((process) => process !== before.process));
        expect(leader.revision > last).toBe(true);
        const watch = leader.process.consensus.watch(new AbortController().signal)[Symbol.asyncIterator]();
        expect((await nextEvent(s, watch)).revision >= leader.revision).toBe(true);
        await watch.return?.();
      }
    });

    promise(create, "a winner that has not read what came before says nothing until it has", async (s) => {
      const [first, second] = [await s.join(1), await s.join(2)];
      const before = await s.leaderOf([first]);
      await s.agree([first, second]);
      s.cluster.holdWatch(2);
      await before.commit(put("/test/last", "1"));
      s.cluster.kill(1);
      const third = await s.join(3);
      await s.cluster.until(() => !third.tree.has("/controllers/1"), "the first is missed");
      expect(second.belief().kind).toBe("following");
      s.cluster.releaseWatch(2);
      const leader = await s.leaderOf([second, third]);
      expect(leader.epoch).toBeGreaterThan(before.epoch);
      const watch = leader.process.consensus.watch(new AbortController().signal)[Symbol.asyncIterator]();
      const event = await nextEvent(s, watch);
      expect(event.kind === "snapshot" && event.entries.has("/test/last")).toBe(true);
      await watch.return?.();
    });

    promise(create, "a claim that is won while the watch is behind is announced when it has caught up", async (s) => {
      const observer = await s.start(2);
      const first = await s.start(1);
      s.cluster.holdWatch(1);
      const joining = first.consensus.join(s.cluster.identity(1));
      await s.cluster.until(() => observer.tree.has("/controller"), "the first has won");
      await s.settled(observer.consensus.sync(new AbortController().signal), "the observer is up to date");
      expect(first.belief().kind).toBe("none");
      s.cluster.releaseWatch(1);
      await s.settled(joining, "the first joins");
      expect((await s.leaderOf([first])).epoch).toBeGreaterThan(0);
    });

    promise(create, "the batch that began the epoch is at the announced revision", async (s) => {
      const all = await s.joinAll();
      const leader = await s.leaderOf(all);
      await s.settled(leader.process.consensus.resign(), "the leader resigns");
      const next = await s.leaderOf(all.filter((process) => process !== leader.process));
      await s.agree(all);
      const changes = next.process.batches.get(next.revision) ?? [];
      expect(changes.map(({ key }) => key)).toContain("/append");
      expect(changes.every(({ key }) => isStoreKey(key))).toBe(true);
    });

    promise(create, "a leader that is cut off stops believing before another is elected", async (s) => {
      const [first, second, third] = await s.joinAll();
      await s.leaderOf([first]);
      s.cluster.cut(1);
      let believedAtElection: boolean | undefined;
      await s.cluster.until(() => {
        const elected = [second, third].some((process) => process.belief().kind === "leading");
        if (elected) believedAtElection ??= first.belief().kind === "leading";
        return elected;
      }, "another is elected");
      expect(believedAtElection).toBe(false);
    });

    promise(create, "followers are told who leads, where, and in which epoch", async (s) => {
      const [first, second, third] = await s.joinAll();
      const leader = await s.leaderOf([first]);
      const identity = s.cluster.identity(1);
      for (const process of [second, third]) {
        expect(process.belief()).toEqual({
          kind: "following",
          epoch: leader.epoch,
          leader: identity.controllerId,
          endpoint: identity.endpoint,
        });
      }
    });

    promise(create, "21 a stalled leader that wakes learns that another leads", async (s) => {
      const [first, second, third] = await s.joinAll();
      const before = await s.leaderOf([first]);
      s.cluster.stall(1);
      const after = await s.leaderOf([second, third]);
      expect(after.epoch).toBeGreaterThan(before.epoch);
      s.cluster.resume(1);
      await s.cluster.until(() => isFollowing(first, after.epoch), "the first follows the new leader");
    });

    promise(create, "a leader that is alone leads again after it resigned", async (s) => {
      const only = await s.join(1);
      const before = await s.leaderOf([only]);
      await s.settled(only.consensus.resign(), "it resigns");
      expect(only.beliefs.length).toBeGreaterThan(0);
      await s.cluster.until(() => leadsAbove(only, before.epoch), "it leads a later epoch");
    });

    promise(create, "a leader that resigned leaves the place to a rival, however slow that is", async (s) => {
      const [first, second] = [await s.join(1), await s.join(2)];
      const before = await s.leaderOf([first]);
      await s.agree([first, second]);
      s.cluster.holdWatch(2);
      await s.settled(first.consensus.resign(), "the first resigns");
      for (let round = 0; round < 5; round++) {
        await s.cluster.plant("/test/round", utf8(String(round)));
        await s.cluster.until(() => first.text("/test/round") === String(round), "the first has seen another round");
      }
      expect(first.belief().kind).toBe("none");
      s.cluster.releaseWatch(2);
      expect((await s.leaderOf([first, second])).process).toBe(second);
      expect(second.belief()).toMatchObject({ epoch: before.epoch + 1 });
    });

    promise(create, "resigning is nothing to a candidate that does not lead", async (s) => {
      const [first, second] = await s.joinAll();
      const leader = await s.leaderOf([first]);
      await s.settled(second.consensus.resign(), "the second resigns");
      await leader.commit(put("/test/a", "1"));
      expect(first.belief()).toMatchObject({ kind: "leading", epoch: leader.epoch });
    });

    promise(create, "a handle that did not join sees who leads, and never leads", async (s) => {
      const first = await s.join(1);
      const leader = await s.leaderOf([first]);
      const observer = await s.start(2);
      await s.cluster.until(() => isFollowing(observer, leader.epoch), "the observer sees the leader");
      await s.settled(first.consensus.close(), "the leader leaves");
      await s.cluster.until(() => observer.belief().kind === "none", "the observer sees nobody");
      expect(observer.beliefs.some(({ kind }) => kind === "leading")).toBe(false);
    });
  });
}

function isFollowing(process: Watched, epoch: number): boolean {
  const belief = process.belief();
  return belief.kind === "following" && belief.epoch === epoch;
}

function leadsAbove(process: Watched, epoch: number): boolean {
  const belief = process.belief();
  return belief.kind === "leading" && belief.epoch > epoch;
}
