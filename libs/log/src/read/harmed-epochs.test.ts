import { describe, expect, test } from "vitest";
import { at, batchAt, createTestLog, epoch, everything, logFile, settled } from "../testing/fixture.ts";

const batchBytes = batchAt(0).length;
const bits = Array.from({ length: 32 }, (_, bit) => bit);

/** A flushed log of batches of the leader epochs 5, 5, 6, 6, 9, 9. One bit of the leader epoch of one in the first segment changed. */
async function harmedIn(batch: number, { bit, segmentBytes }: { readonly bit: number; readonly segmentBytes: number }) {
  const test = await createTestLog({ settings: { segmentBytes } });
  for (const [offset, leaderEpoch] of [5, 5, 6, 6, 9, 9].entries()) await test.flush(batchAt(offset, { leaderEpoch }));
  await settled(test);
  test.disk.flipBit(logFile, { byte: batch * batchBytes + 15 - Math.floor(bit / 8), bit: bit % 8 });
  await test.reopen();
  return test;
}

/**
 * The checksum of a batch leaves its leader epoch out (L1): what shows the harm is the list of leader epochs. Simulated
 * seed 920014 took it for metadata that had fallen behind.
 */
describe("a bit that changed in the leader epoch of a batch", () => {
  test.each(bits)("is found by whoever reads the batch (bit %i)", async (bit) => {
    const { log } = await harmedIn(1, { bit, segmentBytes: 2 * batchBytes });
    expect(log.status.kind).toBe("online");
    await expect(log.read(at(0), everything)).rejects.toMatchObject({ code: "OFFLINE" });
    expect(log.status).toMatchObject({ kind: "offline", damage: { kind: "corruptBatch" } });
  });

  test.each(bits)("is found by a start that reads the batch, and makes up no leader epoch (bit %i)", async (bit) => {
    const { log } = await harmedIn(5, { bit, segmentBytes: 100 * batchBytes });
    expect(log.status).toMatchObject({ kind: "offline", damage: { offset: 5n } });
  });
});

test("batches are read across leader epochs in which nothing was written, from any of them on", async () => {
  const test = await createTestLog();
  await test.flush(batchAt(0, { leaderEpoch: 1 }));
  test.log.beginEpoch(epoch(2));
  test.log.beginEpoch(epoch(3));
  await test.flush(batchAt(1, { leaderEpoch: 4 }), batchAt(2, { leaderEpoch: 4 }), batchAt(3, { leaderEpoch: 7 }));
  await test.reopen();
  for (const from of [0, 1, 2, 3]) expect(await test.log.read(at(from), everything)).toMatchObject({ nextOffset: 4n });
});
