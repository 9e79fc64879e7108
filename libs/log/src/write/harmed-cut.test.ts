import { expect, test } from "vitest";
import { at, batchAt, contentOf, createTestLog, logFile, settled } from "../testing/fixture.ts";

const batchBytes = batchAt(0).length;

/** A log of six batches of one record, and what a cut at `cut` makes of it when a bit has changed. */
async function cutHarmed(harm: { readonly byte: number; readonly bit: number }, cut: number) {
  const test = await createTestLog();
  for (let offset = 0; offset < 6; offset++) test.log.append(batchAt(offset));
  await test.log.flushed(at(6));
  await settled(test);
  test.disk.flipBit(logFile, harm);
  const end = await test.log.truncateTo(at(cut)).catch((error: unknown) => error);
  return { test, end };
}

/**
 * Seed 3200262 (raft): a bit had changed in the first batch, the cut took the walk over the batches for ended there, and
 * what nobody had asked for went along, as if it had never been: no damage was told.
 */
test("a cut behind a batch that has changed takes nothing: the replica is damaged", async () => {
  for (let byte = 0; byte < batchBytes; byte++) {
    for (const bit of [0, 7]) {
      // The leader epoch and the attributes of no meaning say nothing of where a batch lies.
      const { test, end } = await cutHarmed({ byte: batchBytes + byte, bit }, 4);
      if (end === at(4)) {
        expect(12 <= byte && byte < 16, `byte ${byte}, bit ${bit}`).toBe(true);
        continue;
      }
      expect(end, `byte ${byte}, bit ${bit}`).toMatchObject({ code: "OFFLINE" });
      expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "corruptBatch", offset: at(1) } });
      expect(test.disk.peek(logFile)?.length).toBe(6 * batchBytes);
    }
  }
});

test("a cut below a batch that has changed takes it along", async () => {
  const { test, end } = await cutHarmed({ byte: 4 * batchBytes + 7, bit: 5 }, 4);
  expect(end).toBe(at(4));
  expect(await contentOf(test.log)).toHaveLength(4);
});
