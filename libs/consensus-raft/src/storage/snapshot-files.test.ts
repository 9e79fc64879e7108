import { createFaultDisk, createMemoryDisk, scriptedFaults } from "@tidemark/disk";
import { createManualTime } from "@tidemark/runtime";
import { expect, test } from "vitest";
import { format, open, snapshotMeta } from "../testing/storage-fixture.ts";

/** As many turns as anything takes on a disk that does what it is asked for at once. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) await Promise.resolve();
}

// Seed 3200377: the leader was reading it for a member that was behind, and its disk counted as failed.
test("a snapshot that is forgotten while a piece of it is read is read to the end, and no more after that", async () => {
  const time = createManualTime();
  const disk = createFaultDisk(createMemoryDisk(), time);
  await format(disk);
  const { storage } = await open(disk);
  const stored = (index: number) => ({ meta: snapshotMeta(index, 1, 50), state: new Uint8Array(50).fill(index) });
  const oldest = stored(1);
  await storage.saveSnapshot(oldest);
  await storage.saveSnapshot(stored(2));
  disk.plan(scriptedFaults([{ kind: "read", path: "/snapshot-", effect: { kind: "delay", ms: 100 } }]));
  const reading = storage.readSnapshot(oldest.meta, { offset: 0, length: 50 });
  const saving = storage.saveSnapshot(stored(3));
  await turns();
  expect(await storage.readSnapshot(oldest.meta, { offset: 0, length: 50 })).toBeUndefined();
  await Promise.all([expect(reading).resolves.toEqual(oldest.state), time.advance(100)]);
  await saving;
  await storage.close();
});
