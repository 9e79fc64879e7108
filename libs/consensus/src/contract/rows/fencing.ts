import { controllerEpoch } from "@tidemark/ids";
import { describe, expect } from "vitest";
import { utf8 } from "../../bytes.ts";
import type { AppendOutcome } from "../../consensus.ts";
import type { CreateCluster } from "../cluster.ts";
import { type Leader, promise, put, type Scenario } from "../scenario.ts";
import type { Watched } from "../watched.ts";

export function describeFencing(create: CreateCluster): void {
  describe("C5 fencing", () => {
    promise(create, "an epoch that is not the newest is refused, whoever names it", async (s) => {
      const [first, second, third] = await s.joinAll();
      const old = await s.leaderOf([first]);
      await s.settled(first.consensus.resign(), "the first resigns");
      const leader = await s.leaderOf([second, third]);
      for (const process of [first, second, third]) {
        for (const epoch of [old.epoch, controllerEpoch(leader.epoch + 1)]) {
          const outcome = await s.settled(process.consensus.append(epoch, [put("/test/fenced", "1")]), "it is refused");
          expect(outcome).toMatchObject({ kind: "refused", reason: "FENCED" });
        }
      }
      await expectNever(s, leader, [first, second, third], "/test/fenced");
    });

    promise(create, "a candidate that does not lead cannot append in the leader's name", async (s) => {
      const [first, second] = await s.joinAll();
      const leader = await s.leaderOf([first]);
      const outcome = await s.settled(
        second.consensus.append(leader.epoch, [put("/test/fenced", "1")]),
        "it is refused",
      );
      expect(outcome).toMatchObject({ kind: "refused", reason: "FENCED" });
      await expectNever(s, leader, [first, second], "/test/fenced");
    });

    promise(create, "21 decisions that a stalled leader still sends are never visible", async (s) => {
      const [first, second, third] = await s.joinAll();
      const old = await s.leaderOf([first]);
      s.cluster.stall(1);
      const queued = Array.from({ length: 10 }, () => first.consensus.append(old.epoch, [put("/test/fenced", "1")]));
      const leader = await s.leaderOf([second, third]);
      await leader.commit(put("/test/a", "1"));
      s.cluster.resume(1);
      const outcomes = await s.settled(Promise.all(queued), "the stalled appends settle");
      expect(outcomes.filter(({ kind }) => kind === "committed")).toEqual([]);
      await expectNever(s, leader, [first, second, third], "/test/fenced");
    });

    promise(create, "34b a write that is stuck on its way until another leads is never visible", async (s) => {
      const [first, second, third] = await s.joinAll();
      const old = await s.leaderOf([first]);
      const late = s.cluster.delayNextRequest(1);
      const stuck = first.consensus.append(old.epoch, [put("/test/stuck", "1")]);
      await s.settled(late.sent, "the write is on its way");
      s.cluster.cut(1);
      const leader = await s.leaderOf([second, third]);
      await leader.commit(put("/test/a", "1"));
      await s.settled(late.arrive(), "the write arrives");
      const outcome = await s.settled(stuck, "the stuck append settles");
      if (outcome.kind === "committed") await expectVisible(s, leader, "/test/stuck");
      else await expectNever(s, leader, [second, third], "/test/stuck");
    });

    promise(create, "34c a leader whose /controller was overwritten in place stays fenced off", async (s) => {
      const [first, second, third] = await s.joinAll();
      const old = await s.leaderOf([first]);
      s.cluster.stall(1);
      await s.leaderOf([second, third]);
      const queued = first.consensus.append(old.epoch, [put("/test/fenced", "1")]);
      await s.cluster.plant("/controller", utf8(JSON.stringify({ controllerId: 1, controllerEpoch: old.epoch })));
      s.cluster.resume(1);
      const outcome = await s.settled(queued, "the append settles");
      expect(outcome.kind).not.toBe("committed");
      const leader = await stableLeader(s, [first, second, third]);
      await expectNever(s, leader, [first, second, third], "/test/fenced");
    });
  });

  describe("C6 three outcomes", () => {
    promise(create, "a write that never arrived is committed once, or not at all", async (s) => {
      const all = await s.joinAll();
      const leader = await s.leaderOf(all);
      s.cluster.loseNextRequest(1);
      const outcome = await leader.append(put("/test/once", "1"));
      await expectOutcomeHolds(s, all, outcome, "/test/once");
    });

    promise(create, "a write whose answer was lost is committed once", async (s) => {
      const all = await s.joinAll();
      const leader = await s.leaderOf(all);
      s.cluster.loseNextAnswer(1);
      const outcome = await leader.append(put("/test/once", "1"));
      expect(outcome.kind).not.toBe("refused");
      await expectOutcomeHolds(s, all, outcome, "/test/once");
    });

    promise(create, "a write that arrives after a later append of the same leader is never visible", async (s) => {
      const all = await s.joinAll();
      const leader = await s.leaderOf(all);
      const late = s.cluster.delayNextRequest(1);
      const stuck = leader.append(put("/test/stuck", "1"));
      await s.settled(late.sent, "the write is on its way");
      const outcome = await s.settled(stuck, "the stuck append settles");
      await expectOutcomeHolds(s, all, outcome, "/test/stuck");
      const writes = () => writesOf(all, "/test/stuck");
      const before = writes();
      await s.settled(late.arrive(), "the write arrives");
      await (await stableLeader(s, all)).commit(put("/test/after", "1"));
      await s.agree(all);
      expect(writes()).toBe(before);
    });

    promise(
      create,
      "a write that is stuck, and whatever is sent to settle it, is committed once or not at all",
      async (s) => {
        const all = await s.joinAll();
        const leader = await s.leaderOf(all);
        const late = s.cluster.delayNextRequest(1);
        let outcome: AppendOutcome | undefined;
        const appending = leader.append(put("/test/stuck", "1")).then((settled) => {
          outcome = settled;
        });
        await s.settled(late.sent, "the write is on its way");
        const second = s.cluster.delayNextRequest(1);
        const sent = { second: false };
        second.sent.then(
          () => {
            sent.second = true;
          },
          () => {},
        );
        await s.cluster.until(() => sent.second || outcome !== undefined, "it is settled, or another write is sent");
        await s.settled(late.arrive(), "the write arrives");
        if (sent.second) await s.settled(second.arrive(), "the other write arrives");
        await s.settled(appending, "the append settles");
        if (outcome !== undefined) await expectOutcomeHolds(s, all, outcome, "/test/stuck");
      },
    );

    promise(create, "a leader that lost an answer while another took over does not call it refused", async (s) => {
      const [first, second, third] = await s.joinAll();
      const leader = await s.leaderOf([first]);
      await s.agree([first, second, third]);
      s.cluster.holdWatch(1);
      s.cluster.loseNextAnswer(1);
      const appending = first.consensus.append(leader.epoch, [put("/test/done", "1")]);
      await s.cluster.until(() => second.tree.has("/test/done"), "it is carried out");
      await s.cluster.plant("/controller", utf8("another"));
      const next = await s.leaderOf([second, third]);
      await next.commit(put("/test/after", "1"));
      s.cluster.releaseWatch(1);
      const outcome = await s.settled(appending, "the append settles");
      expect(outcome.kind).not.toBe("refused");
    });

    promise(create, "answers that are lost again and again lose nothing and double nothing", async (s) => {
      const all = await s.joinAll();
      const outcomes: AppendOutcome[] = [];
      for (let n = 0; n < 20; n++) {
        const leader = await s.leaderOf(all);
        if (n % 2 === 0) s.cluster.loseNextAnswer(leader.process.candidate);
        else s.cluster.loseNextRequest(leader.process.candidate);
        outcomes.push(await leader.append(put(`/test/many/${n}`, "1")));
      }
      await (await stableLeader(s, all)).commit(put("/test/after", "1"));
      await s.agree(all);
      outcomes.forEach((outcome, n) => {
        const times = writesOf(all, `/test/many/${n}`);
        if (outcome.kind === "committed") expect(times).toBe(1);
        else if (outcome.kind === "refused") expect(times).toBe(0);
        else expect(times).toBeLessThanOrEqual(1);
      });
    });

    promise(
      create,
      "what a killed leader had on its way is there as a whole or not at all, and stays so",
      async (s) => {
        const [first, second, third] = await s.joinAll();
        const leader = await s.leaderOf([first]);
        for (let n = 0; n < 50; n++) {
          leader.process.consensus
            .append(leader.epoch, [put(`/test/left/${n}`, "1"), put(`/test/right/${n}`, "1")])
            .catch(() => {});
        }
        s.cluster.kill(1);
        const next = await s.leaderOf([second, third]);
        await next.commit(put("/test/after", "1"));
        await s.agree([second, third]);
        const found = () => [...second.tree.keys()].filter((key) => /^\/test\/(left|right)/.test(key)).sort();
        const before = found();
        for (const key of before) {
          const twin = key.includes("left") ? key.replace("left", "right") : key.replace("right", "left");
          expect(before).toContain(twin);
        }
        await next.commit(put("/test/later", "1"));
        await s.agree([second, third]);
        expect(found()).toEqual(before);
      },
    );

    promise(create, "a leader cut off amid appends tells the truth about each of them", async (s) => {
      const [first, second, third] = await s.joinAll();
      const leader = await s.leaderOf([first]);
      const appends = Array.from({ length: 100 }, (_, n) =>
        first.consensus.append(leader.epoch, [put(`/test/${n}`, "1")]),
      );
      await s.cluster.until(() => second.tree.has("/test/0"), "the first of them is committed");
      appends.push(
        ...Array.from({ length: 20 }, (_, n) => first.consensus.append(leader.epoch, [put(`/test/${n + 100}`, "1")])),
      );
      s.cluster.cut(1);
      const outcomes = await s.settled(Promise.all(appends), "all of them settle");
      const next = await s.leaderOf([second, third]);
      await next.commit(put("/test/after", "1"));
      await s.agree([second, third]);
      outcomes.forEach((outcome, n) => {
        if (outcome.kind === "committed") expect(second.text(`/test/${n}`)).toBe("1");
        if (outcome.kind === "refused") expect(second.text(`/test/${n}`)).toBeUndefined();
      });
      s.cluster.heal(1);
      await s.agree([first, second, third]);
    });
  });
}

/** How often a key was put, as the watch that saw most has it. */
function writesOf(processes: readonly Watched[], key: string): number {
  const counts = processes.map(
    ({ batches }) => [...batches.values()].filter((changes) => changes.some((change) => change.key === key)).length,
  );
  return Math.max(...counts);
}

/** Someone leads and can append: whoever it is when beliefs have settled. */
export async function stableLeader(s: Scenario, processes: readonly Watched[]): Promise<Leader> {
  for (;;) {
    const leader = await s.leaderOf(processes);
    const outcome = await leader.append(put("/test/stable", String(leader.epoch)));
    if (outcome.kind === "committed") return leader;
  }
}

/** The key was never put, though later batches were committed and read. */
async function expectNever(s: Scenario, leader: Leader, processes: readonly Watched[], key: string): Promise<void> {
  await leader.commit(put("/test/marker", "1"));
  await s.agree(processes);
  expect(writesOf(processes, key)).toBe(0);
  for (const process of processes) expect(process.text(key)).toBeUndefined();
}

async function expectVisible(s: Scenario, leader: Leader, key: string): Promise<void> {
  await leader.commit(put("/test/marker", "1"));
  await s.agree([leader.process]);
  expect(leader.process.text(key)).toBeDefined();
}

/** After a later append is committed, the outcome is what the tree shows. */
async function expectOutcomeHolds(
  s: Scenario,
  processes: readonly Watched[],
  outcome: AppendOutcome,
  key: string,
): Promise<void> {
  await (await stableLeader(s, processes)).commit(put("/test/later", "1"));
  await s.agree(processes);
  const times = writesOf(processes, key);
  if (outcome.kind === "committed") expect(times).toBe(1);
  else if (outcome.kind === "refused") expect(times).toBe(0);
  else expect(times).toBeLessThanOrEqual(1);
}
