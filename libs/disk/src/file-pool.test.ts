import { describe, expect, it } from "vitest";
import { createFilePool, createMemoryDisk, type Disk } from "./index.ts";

/** A disk that counts the files which are open. */
async function countingDisk() {
  const disk = createMemoryDisk();
  const open = { now: 0, opened: 0 };
  for (const name of ["a", "b", "c"]) await disk.create(`/${name}`);
  const counted: Disk = {
    ...disk,
    open: async (path) => {
      const file = await disk.open(path);
      open.now++;
      open.opened++;
      return {
        ...file,
        close: async () => {
          open.now--;
          await file.close();
        },
      };
    },
  };
  return { disk: counted, open };
}

describe("a pool of files", () => {
  it("keeps at most so many idle files open, and closes the one used longest ago", async () => {
    const { disk, open } = await countingDisk();
    const pool = createFilePool(disk, 2);
    for (const name of ["a", "b", "c", "b", "c"]) (await pool.acquire(`/${name}`)).release();
    expect(open).toEqual({ now: 2, opened: 3 });
    (await pool.acquire("/a")).release();
    expect(open).toEqual({ now: 2, opened: 4 });
  });

  it("does not close a file in use, nor open it twice", async () => {
    const { disk, open } = await countingDisk();
    const pool = createFilePool(disk, 1);
    const [a, again] = await Promise.all([pool.acquire("/a"), pool.acquire("/a")]);
    const b = await pool.acquire("/b");
    expect(a.file).toBe(again.file);
    expect(await a.file.size()).toBe(0);
    expect(open).toEqual({ now: 2, opened: 2 });
    for (const held of [a, again, b]) held.release();
  });

  it("closes what is more than so many as soon as it is not in use any more", async () => {
    const { disk, open } = await countingDisk();
    const pool = createFilePool(disk, 1);
    const held = await Promise.all(["a", "b", "c"].map((name) => pool.acquire(`/${name}`)));
    expect(open.now).toBe(3);
    for (const { release } of held) release();
    await Promise.resolve();
    expect(open.now).toBe(1);
  });

  it("opens a forgotten path anew, and leaves the old file to those who use it", async () => {
    const { disk } = await countingDisk();
    const pool = createFilePool(disk, 4);
    const old = await pool.acquire("/a");
    await old.file.write(0, [Uint8Array.of(1)]);
    await disk.rename("/b", "/a");
    pool.forget("/a");
    const fresh = await pool.acquire("/a");
    expect([await old.file.size(), await fresh.file.size()]).toEqual([1, 0]);
    old.release();
    fresh.release();
  });

  it("tells everyone who waited that a file cannot be opened, and tries again for the next", async () => {
    const { disk } = await countingDisk();
    const pool = createFilePool(disk, 4);
    const both = await Promise.allSettled([pool.acquire("/d"), pool.acquire("/d")]);
    expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await disk.create("/d");
    (await pool.acquire("/d")).release();
  });

  it("closes everything, what is in use when it is released", async () => {
    const { disk, open } = await countingDisk();
    const pool = createFilePool(disk, 4);
    const used = await pool.acquire("/a");
    (await pool.acquire("/b")).release();
    await pool.close();
    expect(open.now).toBe(1);
    used.release();
    await expect(pool.acquire("/c")).rejects.toMatchObject({ code: "CLOSED" });
    expect(open.now).toBe(0);
  });

  it("forgets every file below a directory, and none beside it", async () => {
    const disk = createMemoryDisk();
    for (const name of ["/d", "/dd"]) {
      await disk.makeDirectory(name);
      await (await disk.create(`${name}/a`)).write(0, [new Uint8Array(1)]);
    }
    const pool = createFilePool(disk, 4);
    const before = await Promise.all([pool.acquire("/d/a"), pool.acquire("/dd/a")]);
    for (const { release } of before) release();
    await disk.rename("/d", "/e");
    pool.forgetBelow("/d");
    await expect(pool.acquire("/d/a")).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect((await pool.acquire("/dd/a")).file).toBe(before[1].file);
  });
});
