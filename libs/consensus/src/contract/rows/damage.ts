import { describe, expect } from "vitest";
import { utf8 } from "../../bytes.ts";
import type { CreateCluster } from "../cluster.ts";
import { promise, put } from "../scenario.ts";
import { stableLeader } from "./fencing.ts";

const garbage: readonly (readonly [string, Uint8Array])[] = [
  ["nothing", utf8("")],
  ["text that is no JSON", utf8("controller 1")],
  ["JSON of another kind", utf8("[1,2,3]")],
  ["fields of the wrong type", utf8('{"controllerId":"x","controllerEpoch":-1,"sequence":[]}')],
  ["a directory that is no UUID", utf8('{"controllerId":1,"directoryId":"x","controllerEpoch":2.5}')],
  ["bytes that are no UTF-8", Uint8Array.from([0xff, 0xfe, 0x00])],
];

export function describeDamage(create: CreateCluster): void {
  describe("C12 damage", () => {
    promise(create, "a /controller that does not parse and that nobody holds counts as absent", async (s) => {
      const observer = await s.start(3);
      await s.cluster.plant("/controller", utf8("not a controller"));
      await s.cluster.until(() => observer.tree.has("/controller"), "the value is there");
      const leader = await s.leaderOf([await s.join(1)]);
      await leader.commit(put("/test/a", "1"));
    });

    promise(create, "a /controller that does not parse is left alone while a living candidate holds it", async (s) => {
      const [first, second, third] = await s.joinAll();
      const before = await s.leaderOf([first]);
      await s.cluster.plant("/controller", utf8('{"newer":'), { heldBy: 2 });
      await s.cluster.until(() => first.belief().kind === "none", "the first leads no more");
      for (let round = 0; round < 5; round++) {
        await s.cluster.plant("/test/round", utf8(String(round)));
        await s.cluster.until(
          () => [first, second, third].every((process) => process.text("/test/round") === String(round)),
          "everybody has seen another round",
        );
      }
      expect(third.text("/controller")).toBe('{"newer":');
      expect([first, second, third].map((process) => process.belief().kind)).toEqual(["none", "none", "none"]);
      s.cluster.kill(2);
      const leader = await s.leaderOf([first, third]);
      expect(leader.epoch).toBeGreaterThan(before.epoch);
    });

    promise(
      create,
      "a claim that is on its way overwrites no /controller that a living candidate put there meanwhile",
      async (s) => {
        const [first, second, third] = await s.joinAll();
        s.cluster.holdWatch(3);
        const late = s.cluster.delayNextRequest(2, "silence");
        await s.settled(first.consensus.close(), "the first leaves");
        await s.settled(late.sent, "the second's claim is on its way");
        await s.cluster.plant("/controller", utf8('{"newer":'), { heldBy: 3 });
        await s.settled(late.arrive(), "the second's claim arrives");
        s.cluster.releaseWatch(3);
        await s.cluster.plant("/test/behind", utf8("1"), { heldBy: 3 });
        await s.cluster.until(
          () => [second, third].every((process) => process.text("/test/behind") === "1"),
          "both have seen what came behind it",
        );
        expect([second, third].map((process) => process.text("/controller"))).toEqual(['{"newer":', '{"newer":']);
      },
    );

    for (const [what, value] of garbage) {
      promise(create, `${what} at every key of the store stops nobody for good`, async (s) => {
        const all = await s.joinAll();
        let last = await s.leaderOf(all);
        for (const key of ["/controller", "/append", "/controller_epoch", "/controllers/2"]) {
          await s.cluster.plant(key, value);
          const leader = await stableLeader(s, all);
          expect(leader.epoch).toBeGreaterThanOrEqual(last.epoch);
          last = leader;
        }
      });
    }

    promise(create, "keys of no known shape are passed on, and nobody stumbles over them", async (s) => {
      const all = await s.joinAll();
      const leader = await s.leaderOf(all);
      const keys = ["/controllers/one", "/controllers/", "/unknown/kind", "/partitions/x/y", "/brokers/ids/-1"];
      for (const key of keys) await s.cluster.plant(key, utf8("?"));
      await leader.commit(put("/test/a", "1"));
      await s.agree(all);
      for (const process of all) for (const key of keys) expect(process.text(key)).toBe("?");
    });

    promise(create, "an epoch that does not parse is taken from the fence", async (s) => {
      const before = await s.leaderOf(await s.joinAll());
      await s.cluster.plant("/controller_epoch", utf8("many"));
      await s.cluster.powerCut();
      const leader = await s.leaderOf(await s.joinAll());
      expect(leader.epoch).toBeGreaterThan(before.epoch);
      await leader.commit(put("/test/a", "1"));
    });

    promise(create, "where nothing says which epoch comes next nobody leads, and nobody stops", async (s) => {
      const observer = await s.start(3);
      await s.cluster.plant("/append", utf8("?"));
      await s.cluster.plant("/controller_epoch", utf8("?"));
      await s.cluster.until(() => observer.tree.size === 2, "both are there");
      const all = [await s.start(1), await s.start(2), observer];
      for (const { candidate, consensus } of all) {
        await s.settled(consensus.join(s.cluster.identity(candidate)), "it joins");
      }
      for (let round = 0; round < 5; round++) {
        await s.cluster.plant("/test/round", utf8(String(round)));
        await s.cluster.until(
          () => all.every((process) => process.text("/test/round") === String(round)),
          "everybody has seen another round",
        );
      }
      expect(all.map((process) => process.belief().kind)).toEqual(["none", "none", "none"]);
      await s.cluster.plant("/controller_epoch", utf8("41"));
      expect((await s.leaderOf(all)).epoch).toBe(42);
    });

    promise(create, "garbage is still there after a restart of everything, and still stops nobody", async (s) => {
      await s.joinAll();
      for (const key of ["/controller", "/append", "/controllers/1"]) await s.cluster.plant(key, utf8("{"));
      await s.cluster.powerCut();
      const leader = await stableLeader(s, await s.joinAll());
      expect(leader.epoch).toBeGreaterThan(1);
    });
  });
}
