import { crc32c } from "@tidemark/compression";
import { createMemoryDisk, type MemoryDisk } from "@tidemark/disk";
import { directoryId } from "@tidemark/ids";
import { logIndex } from "@tidemark/raft";
import { describe, expect, it } from "vitest";
import {
  batches,
  directory,
  format,
  hardState,
  ids,
  open,
  ownId,
  runtime,
  snapshotMeta,
  voters,
  write,
} from "../testing/storage-fixture.ts";
import { formatDirectory } from "./format.ts";
import { frameHeaderBytes, segmentHeaderBytes, slotDistanceBytes } from "./layout.ts";
import { openStorage } from "./open-storage.ts";

const segment = `${directory}/log-00000000000000000002`;
const frameBytes = frameHeaderBytes + 60;

/** A member that voted and has entries 2 to 11, each flushed alone. */
async function filled(options: { readonly segmentBytes?: number } = {}): Promise<MemoryDisk> {
  const disk = createMemoryDisk();
  await format(disk);
  const { storage } = await open(disk, options);
  await storage.write([write({ hardState: hardState(2, 3) })]);
  for (const entry of batches(2, 11, 2)) await storage.write([write({ entries: [entry] })]);
  await storage.close();
  return disk;
}

async function startOf(disk: MemoryDisk) {
  const { storage, start, cutBytes } = await open(disk);
  await storage.close();
  return { ...start, cutBytes, last: start.entries.at(-1)?.index };
}

describe("a member's directory", () => {
  it("gives back term, vote and log as they were written", async () => {
    const { hardState: found, entries, snapshot } = await startOf(await filled({ segmentBytes: 300 }));
    expect(found).toEqual(hardState(2, 3));
    expect(entries).toEqual(batches(2, 11, 2));
    expect(snapshot.membership).toEqual({ voters, learners: [] });
  });

  it("35 has its vote where the write of the next one was torn", async () => {
    const disk = await filled();
    disk.flipBit(`${directory}/hard-state`, { byte: 20, bit: 3 });
    expect((await startOf(disk)).hardState).toEqual(hardState(2, 3));
  });

  it("35 is refused where neither copy of its vote is whole", async () => {
    const disk = await filled();
    for (const byte of [20, slotDistanceBytes + 20]) disk.flipBit(`${directory}/hard-state`, { byte, bit: 3 });
    await expect(open(disk)).rejects.toMatchObject({ code: "DAMAGED", path: `${directory}/hard-state` });
  });

  it("is refused where its vote is gone, and so is one without its identity", async () => {
    for (const name of ["hard-state", "identity"]) {
      const disk = await filled();
      await disk.remove(`${directory}/${name}`);
      await expect(open(disk)).rejects.toMatchObject({ code: name === "identity" ? "MALFORMED" : "DAMAGED" });
    }
  });

  it("42 loses a torn tail, and nothing before it", async () => {
    const disk = await filled();
    const bytes = disk.peek(segment) ?? new Uint8Array();
    disk.put(segment, bytes.subarray(0, bytes.length - 10));
    expect(await startOf(disk)).toMatchObject({ last: 10, cutBytes: frameBytes - 10 });
    expect(await startOf(disk)).toMatchObject({ last: 10, cutBytes: 0 });
  });

  it("is refused where an entry is damaged that had been flushed", async () => {
    const disk = await filled();
    disk.flipBit(segment, { byte: segmentHeaderBytes + 4 * frameBytes + frameHeaderBytes + 5, bit: 1 });
    await expect(open(disk)).rejects.toMatchObject({ code: "DAMAGED", path: segment });
  });

  it("is refused where the last entry is damaged, once the log was marked behind it", async () => {
    const disk = createMemoryDisk();
    await format(disk);
    const { storage } = await open(disk);
    await storage.write([write({ hardState: hardState(2), entries: batches(2, 4, 2) })]);
    await storage.idle();
    await storage.close();
    disk.flipBit(segment, { byte: segmentHeaderBytes + 2 * frameBytes + frameHeaderBytes + 5, bit: 1 });
    await expect(open(disk)).rejects.toMatchObject({ code: "DAMAGED" });
  });

  it("is refused where a segment in the middle is missing or damaged", async () => {
    for (const damage of ["remove", "flip"] as const) {
      const disk = await filled({ segmentBytes: 300 });
      const names = (await disk.list(directory)).map(({ name }) => name).filter((name) => name.startsWith("log-"));
      const path = `${directory}/${names[1]}`;
      if (damage === "remove") await disk.remove(path);
      else disk.flipBit(path, { byte: segmentHeaderBytes + frameHeaderBytes + 3, bit: 0 });
      await expect(open(disk)).rejects.toMatchObject({ code: "DAMAGED" });
    }
  });

  it("is refused where a header or a snapshot is damaged, and where a later version wrote it", async () => {
    const snapshot = `${directory}/snapshot-00000000000000000001-00000000000000000001`;
    for (const path of [segment, snapshot]) {
      const damaged = await filled();
      damaged.flipBit(path, { byte: 16, bit: 1 });
      await expect(open(damaged)).rejects.toMatchObject({ code: "DAMAGED", path });
      const newer = await filled();
      newer.flipBit(path, { byte: 11, bit: 6 });
      await expect(open(newer)).rejects.toMatchObject({ code: "FORMAT_TOO_NEW", path });
    }
  });

  it("keeps what follows a snapshot, and forgets a log that a snapshot replaced", async () => {
    const disk = await filled();
    const { storage } = await open(disk);
    await storage.saveSnapshot({ meta: snapshotMeta(8, 2, 4), state: new Uint8Array(4) });
    await storage.close();
    expect(await startOf(disk)).toMatchObject({ last: 11, snapshot: { index: 8 } });
    const other = await open(disk);
    await other.storage.saveSnapshot({ meta: snapshotMeta(10, 3, 4), state: new Uint8Array(4) });
    await other.storage.close();
    expect(await startOf(disk)).toMatchObject({ last: undefined, snapshot: { index: 10 } });
  });

  it("drops the segments that a snapshot holds, and reads pieces of snapshots", async () => {
    const disk = await filled({ segmentBytes: 300 });
    const { storage } = await open(disk, { segmentBytes: 300 });
    const before = storage.logBytes();
    await storage.saveSnapshot({ meta: snapshotMeta(9, 2, 4), state: Uint8Array.of(1, 2, 3, 4) });
    await storage.write([write({ compactThrough: logIndex(9), mustFlush: false })]);
    expect(storage.logBytes()).toBeLessThan(before);
    expect(await storage.readSnapshot(snapshotMeta(9, 2, 4), { offset: 1, length: 2 })).toEqual(Uint8Array.of(2, 3));
    expect(await storage.readSnapshot(snapshotMeta(7, 2, 4), { offset: 0, length: 1 })).toBeUndefined();
    await storage.close();
    expect((await startOf(disk)).last).toBe(11);
  });
});

describe("formatting", () => {
  it("is refused for a directory that is formatted, and keeps it", async () => {
    const disk = await filled();
    await expect(format(disk)).rejects.toMatchObject({ code: "FORMATTED" });
    expect((await startOf(disk)).hardState).toEqual(hardState(2, 3));
  });

  it("is done again where it was interrupted, and a start before that is refused", async () => {
    const disk = createMemoryDisk();
    await format(disk);
    await disk.remove(`${directory}/identity`);
    await expect(open(disk)).rejects.toMatchObject({ code: "MALFORMED" });
    await format(disk);
    expect((await startOf(disk)).snapshot.index).toBe(1);
  });

  it("is refused for a directory that is none of the voters", async () => {
    const identity = { directoryId: directoryId("00000000-0000-4000-8000-000000000009"), clusterId: "c" };
    const formatting = formatDirectory({ disk: createMemoryDisk(), directory, crc32c, identity, voters });
    await expect(formatting).rejects.toMatchObject({ code: "FOREIGN" });
  });

  it("is what an empty directory lacks: it starts without members, log and vote", async () => {
    expect(await startOf(createMemoryDisk())).toMatchObject({
      hardState: { term: 0, votedFor: undefined },
      snapshot: { index: 0, membership: { voters: [], learners: [] } },
      entries: [],
    });
  });
});

describe("a directory of another", () => {
  it("is refused where it belongs to another cluster, or is here under another id", async () => {
    const options = { directory, crc32c, runtime };
    const foreign = openStorage({ ...options, disk: await filled(), directoryId: ownId, clusterId: "cluster-b" });
    await expect(foreign).rejects.toMatchObject({ code: "FOREIGN" });
    const copied = openStorage({
      ...options,
      disk: await filled(),
      directoryId: ids[1] ?? ownId,
      clusterId: undefined,
    });
    await expect(copied).rejects.toMatchObject({ code: "FOREIGN" });
  });

  it("is refused where another process has it", async () => {
    const disk = createMemoryDisk();
    await format(disk);
    const { storage } = await open(disk);
    await expect(open(disk)).rejects.toMatchObject({ code: "LOCKED" });
    await storage.close();
  });
});
