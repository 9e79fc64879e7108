import { describe, expect, it } from "vitest";
import { at, batchAt, contentOf, createTestLog, whileTimeGoes } from "../testing/fixture.ts";

const second = 1000;

/** Eight batches, a second apart, in segments of three; every change to a file takes a while. */
async function slowToCut() {
  const test = await createTestLog({ settings: { segmentBytes: 3 * batchAt(0).length + 60 }, recentBytes: 0 });
  for (let offset = 0; offset < 8; offset++) await test.flush(batchAt(offset, { timestamp: offset * second }));
  test.faulty.plan(({ kind }) =>
    kind === "truncate" || kind === "remove" || kind === "sync" || kind === "syncDirectory" || kind === "read"
      ? { kind: "delay", ms: 20 }
      : undefined,
  );
  return test;
}

describe("a lookup by time beside a cut", () => {
  it.each([
    ["within a segment", 7, (moment: number) => (moment < 7 ? at(moment) : undefined)],
    ["over segments", 1, (moment: number) => (moment < 1 ? at(moment) : undefined)],
  ])("takes nothing for damaged that is being cut %s, and finds nothing of it", async (_, cut, found) => {
    for (let moment = 0; moment < 24; moment++) {
      const test = await slowToCut();
      const cutting = test.log.truncateTo(at(cut));
      for (let step = 0; step < moment; step++) await test.time.advance(10);
      const sought = moment % 8;
      const lookup = await whileTimeGoes(test.time, test.log.offsetForTimestamp(BigInt(sought * second)));
      expect([moment, lookup?.offset]).toEqual([moment, found(sought)]);
      await whileTimeGoes(test.time, cutting);
      expect([test.log.status.kind, test.context.failure()]).toEqual(["online", undefined]);
      expect(await whileTimeGoes(test.time, contentOf(test.log))).toHaveLength(cut);
    }
  });
});
