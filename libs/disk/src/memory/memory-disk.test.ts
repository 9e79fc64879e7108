import { describe, expect, it } from "vitest";
import { createMemoryDisk, type DiskFile, keepAll, type MemoryDisk } from "../index.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const content = (disk: MemoryDisk, path: string) => {
  const found = disk.peek(path);
  return found === undefined ? undefined : new TextDecoder().decode(found);
};

/** A file `/d/a` with "old", all of it durable, and handles on it. */
async function withDurableFile() {
  const disk = createMemoryDisk();
  await disk.makeDirectory("/d");
  await disk.syncDirectory("/");
  const file = await disk.create("/d/a");
  await file.write(0, [bytes("old")]);
  await file.sync();
  await disk.syncDirectory("/d");
  return { disk, file };
}

describe("a power cut", () => {
  it("takes the bytes that were not synced, and leaves those that were", async () => {
    const { disk, file } = await withDurableFile();
    await file.write(0, [bytes("new and longer")]);
    disk.powerCut();
    expect(content(disk, "/d/a")).toBe("old");
  });

  it.each<[string, (file: DiskFile) => Promise<void>]>([
    ["more was written behind it", (file) => file.write(3, [bytes(" and more")])],
    ["it was written over", (file) => file.write(1, [bytes("x")])],
    ["it was cut", (file) => file.truncate(1)],
    ["it was cut and written over", (file) => file.truncate(1).then(() => file.write(1, [bytes("xyz")]))],
  ])("leaves what was synced as it was, where %s since", async (_, change) => {
    const { disk, file } = await withDurableFile();
    await change(file);
    disk.powerCut();
    expect(content(disk, "/d/a")).toBe("old");
  });

  it("leaves a bit flipped that was flipped at rest", async () => {
    const { disk } = await withDurableFile();
    disk.flipBit("/d/a", { byte: 0, bit: 0 });
    expect(content(disk, "/d/a")).toBe("nld");
    disk.powerCut();
    expect(content(disk, "/d/a")).toBe("nld");
  });

  it("leaves zeros where a sync reached only what lies behind a gap", async () => {
    const { disk, file } = await withDurableFile();
    await file.write(3, [bytes("abc")]);
    disk.failSync("/d/a");
    await file.write(6, [bytes("d")]);
    await file.sync();
    disk.powerCut();
    expect(content(disk, "/d/a")).toBe("old\0\0\0d");
  });

  it("takes what was written after the sync was called", async () => {
    const { disk, file } = await withDurableFile();
    await file.write(0, [bytes("new")]);
    const syncing = file.sync();
    await file.write(0, [bytes("NEW")]);
    await syncing;
    disk.powerCut();
    expect(content(disk, "/d/a")).toBe("new");
  });

  it.each([
    ["a creation", (disk: MemoryDisk) => disk.create("/d/b"), ["a"]],
    ["a rename", (disk: MemoryDisk) => disk.rename("/d/a", "/d/b"), ["a"]],
    ["a removal", (disk: MemoryDisk) => disk.remove("/d/a"), ["a"]],
  ])("takes %s whose directory was not synced", async (_, change, names) => {
    const { disk } = await withDurableFile();
    await change(disk);
    disk.powerCut();
    expect((await disk.list("/d")).map((entry) => entry.name)).toEqual(names);
  });

  it("leaves a rename whose directory was synced, though the file was not", async () => {
    const { disk } = await withDurableFile();
    const file = await disk.create("/d/b");
    await file.write(0, [bytes("unsynced")]);
    await disk.rename("/d/b", "/d/a");
    await disk.syncDirectory("/d");
    disk.powerCut();
    expect(content(disk, "/d/a")).toBe("");
  });

  it("tears a write by sectors", async () => {
    const { disk, file } = await withDurableFile();
    await file.write(0, [new Uint8Array(1300).fill(120)]);
    disk.powerCut(() => ({ kind: "torn", reached: (sector) => sector === 1 }));
    const found = disk.peek("/d/a")!;
    expect(found).toHaveLength(1024);
    expect([...found.subarray(0, 4)]).toEqual([111, 108, 100, 0]);
    expect(found.subarray(512).every((byte) => byte === 120)).toBe(true);
  });

  it("leaves nothing under way, no handle and no lock", async () => {
    const { disk, file } = await withDurableFile();
    await disk.lock("/d");
    let settled = false;
    const under = file.sync().finally(() => (settled = true));
    disk.powerCut(keepAll);
    await disk.lock("/d");
    expect(await Promise.race([under.then(() => "settled"), disk.list("/d").then(() => "silent")])).toBe("silent");
    expect(settled).toBe(false);
  });
});

describe("a kill", () => {
  it("ends the process for good, and whoever attaches later is another one", async () => {
    const disk = createMemoryDisk();
    const [killed, seen] = [disk.attach(), [] as string[]];
    disk.kill();
    const late = killed.create("/late").then(() => seen.push("killed"));
    await disk.attach().create("/a");
    await Promise.race([late, disk.attach().list("/")]);
    expect(seen).toEqual([]);
    expect((await disk.list("/")).map(({ name }) => name)).toEqual(["a"]);
  });

  it("leaves unsynced bytes to be read, and still unsynced", async () => {
    const { disk, file } = await withDurableFile();
    await file.write(0, [bytes("new")]);
    disk.kill();
    expect(content(disk, "/d/a")).toBe("new");
    disk.powerCut();
    expect(content(disk, "/d/a")).toBe("old");
  });
});

describe("a sync that fails", () => {
  it("loses its bytes for good, though a later sync succeeds and they can be read until then", async () => {
    const { disk, file } = await withDurableFile();
    await file.write(0, [bytes("new")]);
    disk.failSync("/d/a");
    await file.sync();
    expect(content(disk, "/d/a")).toBe("new");
    disk.powerCut(keepAll);
    expect(content(disk, "/d/a")).toBe("old");
  });
});
