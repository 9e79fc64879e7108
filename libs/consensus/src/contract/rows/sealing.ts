import { describe, expect } from "vitest";
import { utf8 } from "../../bytes.ts";
import type { CreateCluster } from "../cluster.ts";
import { type Leader, promise, put, type Scenario } from "../scenario.ts";
import type { Watched } from "../watched.ts";

const cluster = put("/cluster", JSON.stringify({ clusterId: "c", formatVersion: 1, newer: { field: 1 } }));

export function describeSealing(create: CreateCluster): void {
  describe("sealing", () => {
    promise(create, "a sealed store takes nothing more, elects nobody, and has counted the epoch up", async (s) => {
      const { all, leader } = await sealed(s);
      await nobodyLeads(s, all);
      for (const process of all) {
        const outcome = await s.settled(
          process.consensus.append(leader.epoch, [put("/test/late", "1")]),
          "it is refused",
        );
        expect(outcome).toMatchObject({ kind: "refused", reason: "SEALED" });
        expect(process.text("/controller_epoch")).toBe(String(leader.epoch + 1));
        expect(JSON.parse(process.text("/cluster") ?? "")).toEqual({
          clusterId: "c",
          formatVersion: 1,
          newer: { field: 1 },
          sealed: true,
        });
      }
    });

    promise(create, "34g it stays sealed through a restart of everything", async (s) => {
      await sealed(s);
      await s.cluster.powerCut();
      const all = [await s.join(1), await s.join(2), await s.join(3)];
      await nobodyLeads(s, all);
    });

    promise(create, "unsealed it elects a leader of a later epoch, and takes appends", async (s) => {
      const { all, leader } = await sealed(s);
      const outcome = await s.settled(all[1].consensus.unseal(), "it is unsealed");
      expect(outcome).toMatchObject({ kind: "committed" });
      const next = await s.leaderOf(all);
      expect(next.epoch).toBeGreaterThan(leader.epoch + 1);
      await next.commit(put("/test/a", "1"));
      await s.agree(all);
      expect(JSON.parse(next.process.text("/cluster") ?? "")).not.toHaveProperty("sealed");
    });

    promise(create, "appends called before the seal come first, and those after it do not come", async (s) => {
      const all = await s.joinAll();
      const leader = await s.leaderOf(all);
      await leader.commit(cluster);
      const before = Array.from({ length: 20 }, (_, n) => leader.append(put(`/test/before/${n}`, "1")));
      before.push(leader.append(put("/cluster", JSON.stringify({ clusterId: "c", formatVersion: 2 }))));
      const sealing = leader.process.consensus.seal(leader.epoch);
      const after = Array.from({ length: 20 }, (_, n) => leader.append(put(`/test/after/${n}`, "1")));
      const outcomes = await s.settled(Promise.all([...before, sealing]), "all of them settle");
      expect(outcomes.filter(({ kind }) => kind !== "committed")).toEqual([]);
      const late = await s.settled(Promise.all(after), "the others settle");
      expect(late.filter(({ kind }) => kind !== "refused")).toEqual([]);
      await s.agree(all);
      expect(JSON.parse(leader.process.text("/cluster") ?? "")).toEqual({
        clusterId: "c",
        formatVersion: 2,
        sealed: true,
      });
      expect([...leader.process.tree.keys()].filter((key) => key.startsWith("/test/after"))).toEqual([]);
    });

    promise(create, "a write that was stuck before the seal is never visible", async (s) => {
      const all = await s.joinAll();
      const leader = await s.leaderOf(all);
      await leader.commit(cluster);
      const late = s.cluster.delayNextRequest(1);
      const stuck = leader.append(put("/test/stuck", "1"));
      await s.settled(late.sent, "the write is on its way");
      const outcome = await s.settled(stuck, "the stuck append settles");
      const sealing = await s.settled(leader.process.consensus.seal(leader.epoch), "the seal settles");
      await s.settled(late.arrive(), "the write arrives");
      await s.agree(all);
      const writes = [...leader.process.batches.values()].flat().filter(({ key }) => key === "/test/stuck");
      expect(writes).toHaveLength(outcome.kind === "committed" ? 1 : 0);
      expect(sealing.kind).not.toBe("unknown");
    });

    promise(create, "34g an unsealing that is stuck does not undo a later seal", async (s) => {
      const { all } = await sealed(s);
      const late = s.cluster.delayNextRequest(2);
      const stuck = all[1].consensus.unseal();
      await s.settled(late.sent, "the unsealing is on its way");
      await s.settled(stuck, "the stuck unsealing settles");
      await s.settled(all[2].consensus.unseal(), "it is unsealed");
      const leader = await s.leaderOf(all);
      expect(await s.settled(leader.process.consensus.seal(leader.epoch), "it is sealed")).toMatchObject({
        kind: "committed",
      });
      await s.settled(late.arrive(), "the unsealing arrives");
      await nobodyLeads(s, all);
      for (const process of all) expect(process.text("/cluster")).toContain('"sealed":true');
    });

    promise(create, "only the leader seals, only what is there, and nobody unseals what is not sealed", async (s) => {
      const [first, second] = await s.joinAll();
      const leader = await s.leaderOf([first]);
      expect(await s.settled(second.consensus.seal(leader.epoch), "it is refused")).toMatchObject({ reason: "FENCED" });
      expect(await s.settled(second.consensus.unseal(), "it is refused")).toMatchObject({ reason: "INVALID_BATCH" });
      expect(await s.settled(first.consensus.seal(leader.epoch), "it is refused")).toMatchObject({
        reason: "INVALID_BATCH",
      });
      await (await s.leaderOf([first, second])).commit(put("/test/a", "1"));
    });
  });
}

async function sealed(s: Scenario): Promise<{ all: readonly [Watched, Watched, Watched]; leader: Leader }> {
  const all = await s.joinAll();
  const leader = await s.leaderOf(all);
  await leader.commit(cluster);
  expect(await s.settled(leader.process.consensus.seal(leader.epoch), "it is sealed")).toMatchObject({
    kind: "committed",
  });
  await s.agree(all);
  return { all, leader };
}

/** Though everybody sees changes, each an occasion to claim. */
async function nobodyLeads(s: Scenario, all: readonly Watched[]): Promise<void> {
  for (let round = 0; round < 5; round++) {
    await s.cluster.plant("/test/round", utf8(String(round)));
    await s.cluster.until(
      () => all.every((process) => process.text("/test/round") === String(round)),
      "everybody has seen another round",
    );
  }
  expect(all.map((process) => process.belief().kind)).toEqual(all.map(() => "none"));
}
