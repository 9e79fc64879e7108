import { describe, expect } from "vitest";
import type { AppendOutcome, Change } from "../../consensus.ts";
import { appendLimits, limits } from "../../limits.ts";
import type { CreateCluster } from "../cluster.ts";
import { promise, put, remove } from "../scenario.ts";
import { withoutStoreKeys } from "./watch.ts";

const key = (bytes: number) => `/${"k".repeat(bytes - 1)}`;
const bytes = (length: number) => "v".repeat(length);
const many = (count: number) => Array.from({ length: count }, (_, n) => put(`/test/${n}`, ""));

/** Eight values and keys that together have so many bytes. */
function batchOf(total: number): readonly Change[] {
  const names = Array.from({ length: 8 }, (_, n) => `/test/${n}`);
  const left = total - names.join("").length;
  const each = Math.floor(left / 8);
  return names.map((name, n) => put(name, bytes(n === 0 ? left - 7 * each : each)));
}

const legal: readonly (readonly [string, readonly Change[]])[] = [
  [`a key of ${limits.keyBytesMax} bytes`, [put(key(limits.keyBytesMax), "1")]],
  [`a value of ${limits.valueBytesMax} bytes`, [put("/test/a", bytes(limits.valueBytesMax))]],
  ["an empty value", [put("/test/a", "")]],
  [`${limits.batchChangesMax} changes`, many(limits.batchChangesMax)],
  [`${limits.batchBytesMax} bytes`, batchOf(limits.batchBytesMax)],
  ["every sign that a key may have", [put("/test/!\"#$%&'()*+,-.0:;<=>?@AZ[\\]^_`az{|}~", "1")]],
];

const illegal: readonly (readonly [string, readonly Change[]])[] = [
  [`a key of ${limits.keyBytesMax + 1} bytes`, [put(key(limits.keyBytesMax + 1), "1")]],
  [`a value of ${limits.valueBytesMax + 1} bytes`, [put("/test/a", bytes(limits.valueBytesMax + 1))]],
  [`${limits.batchChangesMax + 1} changes`, many(limits.batchChangesMax + 1)],
  [`${limits.batchBytesMax + 1} bytes`, batchOf(limits.batchBytesMax + 1)],
  ["no change", []],
  ["a key twice", [put("/test/a", "1"), remove("/test/a")]],
  ["an empty key", [put("", "1")]],
  ["a key without a slash in front", [put("test", "1")]],
  ["a key with a slash behind", [put("/test/", "1")]],
  ["a key with an empty part", [put("/test//a", "1")]],
  ["a key with a space", [put("/test/a b", "1")]],
  ["a key with a line break", [put("/test/a\n", "1")]],
  ["a key with a NUL", [put("/test/\0", "1")]],
  ["a key beyond ASCII", [put("/test/ä", "1")]],
  ["half a surrogate pair", [put("/test/\ud800", "1")]],
  ["/controller", [put("/controller", "1")]],
  ["a candidate's key", [remove("/controllers/1")]],
  ["/controller_epoch", [put("/controller_epoch", "99")]],
  ["/append", [put("/append", "1")]],
];

export function describeLimits(create: CreateCluster): void {
  describe("C10 limits", () => {
    promise(create, "what is legal is committed, up to the last byte", async (s) => {
      const leader = await s.leaderOf(await s.joinAll());
      for (const [what, changes] of legal)
        expect([what, (await leader.append(...changes)).kind]).toEqual([what, "committed"]);
    });

    promise(create, "what is not is refused, nothing of it is visible, and the leader goes on", async (s) => {
      const all = await s.joinAll();
      const leader = await s.leaderOf(all);
      for (const [what, changes] of illegal) {
        const outcome = await leader.append(put("/test/beside", "1"), ...changes.slice(0, limits.batchChangesMax));
        const alone = await leader.append(...changes);
        expect([what, reasonOf(alone)]).toEqual([what, "INVALID_BATCH"]);
        if (changes.length > 0) expect([what, reasonOf(outcome)]).toEqual([what, "INVALID_BATCH"]);
      }
      await leader.commit(put("/test/after", "1"));
      await s.agree(all);
      const written = [...withoutStoreKeys(leader.process).keys()];
      expect(written.sort()).toEqual(["/test/after", "/test/beside"]);
    });

    promise(create, "a refusal says what is wrong", async (s) => {
      const leader = await s.leaderOf(await s.joinAll());
      const outcome = await leader.append(put("/test/a", bytes(limits.valueBytesMax + 1)));
      expect(outcome).toMatchObject({ message: expect.stringContaining(String(limits.valueBytesMax)) as string });
    });
  });

  describe("C11 overload", () => {
    promise(
      create,
      "appends past the bound are refused, the others are not, and then there is room again",
      async (s) => {
        const all = await s.joinAll();
        const leader = await s.leaderOf(all);
        s.cluster.stall(1);
        const appends = Array.from({ length: appendLimits.batchesMax + 10 }, (_, n) =>
          leader.process.consensus.append(leader.epoch, [put(`/test/${n % 50}`, String(n))]),
        );
        const refused = await s.settled(
          Promise.all(appends.slice(appendLimits.batchesMax)),
          "those past it are refused",
        );
        expect(refused.map(reasonOf)).toEqual(refused.map(() => "RESOURCE_EXHAUSTED"));
        s.cluster.resume(1);
        await s.settled(Promise.all(appends), "all of them settle");
        const next = await s.leaderOf(all);
        expect((await next.append(put("/test/after", "1"))).kind).toBe("committed");
        await s.agree(all);
        expect(next.process.text("/test/0")).not.toBe(String(appendLimits.batchesMax));
      },
    );

    promise(create, "so are bytes past the bound", async (s) => {
      const leader = await s.leaderOf(await s.joinAll());
      s.cluster.stall(1);
      const count = Math.floor(appendLimits.bytesMax / limits.batchBytesMax);
      const changes = batchOf(limits.batchBytesMax);
      const appends = Array.from({ length: count }, () => leader.process.consensus.append(leader.epoch, changes));
      const past = leader.process.consensus.append(leader.epoch, changes);
      expect(reasonOf(await s.settled(past, "the one past it is refused"))).toBe("RESOURCE_EXHAUSTED");
      s.cluster.resume(1);
      await s.settled(Promise.all(appends), "all of them settle");
    });
  });
}

function reasonOf(outcome: AppendOutcome): string {
  return outcome.kind === "refused" ? outcome.reason : outcome.kind;
}
