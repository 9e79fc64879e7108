import { createMemoryDisk, type MemoryDisk } from "@tidemark/disk";
import { leaderEpoch, offset } from "@tidemark/ids";
import { encodeBatch, portableCrc32c, stampBatch } from "@tidemark/record";
import { expect, test } from "vitest";
import { compareCopies } from "./compare-copies.ts";
import { readStoredLog } from "./stored-batches.ts";

const replica = "0b0edb7f-d80c-4128-85dd-4d87ee515318-0";
const directory = `/data/log/${replica}`;
const everything = { from: 0n, to: 100n };

/** One record, with its key, or as a delete marker where there is no value. */
function batch(at: bigint, value: string | null, epoch = 0): Uint8Array {
  const key = Buffer.from("k");
  const record = { timestamp: 0n, key, value: value === null ? null : Buffer.from(value), headers: [] };
  const bytes = encodeBatch([record], { crc32c: portableCrc32c });
  stampBatch(bytes, 0, { baseOffset: offset(at), leaderEpoch: leaderEpoch(epoch) });
  return bytes;
}

async function diskWith(...segments: readonly (readonly Uint8Array[])[]): Promise<MemoryDisk> {
  const disk = createMemoryDisk();
  for (const path of ["/data", "/data/log", directory]) await disk.makeDirectory(path);
  let at = 0;
  for (const batches of segments) {
    disk.put(`${directory}/${String(at).padStart(20, "0")}.log`, Buffer.concat(batches));
    at += batches.length;
  }
  return disk;
}

async function differenceOf(
  left: MemoryDisk,
  right: MemoryDisk,
  { isCompacted = false, range = everything } = {},
): Promise<string | undefined> {
  const copies = await Promise.all(
    [left, right].map(async (disk, at) => ({ broker: at + 1, ...(await readStoredLog(disk, replica)) })),
  );
  return compareCopies(copies, range, { isCompacted, codecs: {} });
}

test("copies of the same batches are the same, however they are cut into segments", async () => {
  const [one, two, three] = [batch(0n, "a"), batch(1n, "b"), batch(2n, "c")];
  const left = await diskWith([one, two, three]);
  expect((await readStoredLog(left, replica)).batches).toHaveLength(3);
  expect(await differenceOf(left, await diskWith([one, two], [three]))).toBeUndefined();
});

test.for([
  ["another record", [batch(0n, "a"), batch(1n, "x")], "another one there"],
  ["another leader epoch", [batch(0n, "a"), batch(1n, "b", 1)], "another one there"],
  ["a missing end", [batch(0n, "a")], "one ends at 1"],
  ["more than the other", [batch(0n, "a"), batch(1n, "b"), batch(2n, "c")], "one ends at 2"],
  ["nothing at all", [], "one ends at 0"],
] as const)("%s is found", async ([, batches, found]) => {
  const left = await diskWith([batch(0n, "a"), batch(1n, "b")]);
  expect(await differenceOf(left, await diskWith(batches))).toContain(found);
});

test("what is not committed, and what only one copy still keeps below the log start, may differ", async () => {
  const left = await diskWith([batch(0n, "a"), batch(1n, "b"), batch(2n, "c")]);
  const right = await diskWith([batch(0n, "x"), batch(1n, "b"), batch(2n, "y")]);
  expect(await differenceOf(left, right, { range: { from: 1n, to: 2n } })).toBeUndefined();
});

test("copies of a compacted log agree in the last value of each key, whatever each has removed", async () => {
  const left = await diskWith([batch(0n, "a"), batch(1n, "b"), batch(2n, "c")]);
  expect(await differenceOf(left, await diskWith([batch(2n, "c")]), { isCompacted: true })).toBeUndefined();
  const removed = await diskWith([batch(2n, "c"), batch(3n, null)]);
  expect(await differenceOf(removed, await diskWith(), { isCompacted: true })).toBeUndefined();
});

test.for([
  ["no last value", [batch(0n, "a")], "at 2 in one only"],
  ["an older last value", [batch(0n, "a"), batch(1n, "b")], "at 2 in one only"],
  ["another record at an offset", [batch(1n, "x"), batch(2n, "c")], "offset 1 has two records"],
] as const)("a compacted copy with %s is found", async ([, batches, found]) => {
  const left = await diskWith([batch(0n, "a"), batch(1n, "b"), batch(2n, "c")]);
  expect(await differenceOf(left, await diskWith(batches), { isCompacted: true })).toContain(found);
});
