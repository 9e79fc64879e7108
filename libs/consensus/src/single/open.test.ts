import { createMemoryDisk, keepAll } from "@tidemark/disk";
import { describe, expect, it, test } from "vitest";
import { allGuards } from "./guards.ts";
import { directory, openOn, path, put, startController } from "./testing.ts";

/** A disk with a store of some batches on it, closed. */
async function diskWithStore(batches = 20) {
  const disk = createMemoryDisk();
  const controller = await startController(disk);
  for (let n = 0; n < batches; n++) await controller.append(`/test/${n}`, `value ${n}`);
  await controller.close();
  const content = disk.peek(path);
  if (content === undefined) throw new Error("No file");
  return { disk, content };
}

describe("opening a store", () => {
  it("makes the directory and an empty store where there is none, and finds it again", async () => {
    const disk = createMemoryDisk();
    await (await openOn(disk)).close();
    disk.powerCut();
    expect(disk.peek(path)).toBeDefined();
    await (await openOn(disk)).close();
  });

  it("refuses a directory that another has, and takes it when it is free", async () => {
    const disk = createMemoryDisk();
    const first = await openOn(disk);
    await expect(openOn(disk)).rejects.toMatchObject({ name: "StoreOpenError", code: "LOCKED", path: directory });
    await first.close();
    await (await openOn(disk)).close();
  });

  it("frees the directory when it refuses to start", async () => {
    const disk = createMemoryDisk();
    await disk.makeDirectory(directory);
    disk.put(path, new Uint8Array(100));
    for (let attempt = 0; attempt < 2; attempt++)
      await expect(openOn(disk)).rejects.toMatchObject({ code: "MALFORMED" });
  });

  it("refuses a newer format by its version", async () => {
    const { disk, content } = await diskWithStore();
    new DataView(content.buffer).setUint32(8, 7);
    disk.put(path, content);
    await expect(openOn(disk)).rejects.toMatchObject({
      code: "FORMAT_TOO_NEW",
      path,
      message: expect.stringContaining("format version 7 is newer than 1") as string,
    });
    expect(disk.peek(path)).toEqual(content);
  });

  test.each([
    ["nothing", new Uint8Array(0)],
    ["less than a header", new Uint8Array(10)],
    ["another program's bytes", new TextEncoder().encode("#!/bin/sh\necho a store is not a script, of course not\n")],
  ])("refuses a file that holds %s", async (_, bytes) => {
    const disk = createMemoryDisk();
    await disk.makeDirectory(directory);
    disk.put(path, bytes);
    await expect(openOn(disk)).rejects.toMatchObject({ code: "MALFORMED", path });
    expect(disk.peek(path)).toEqual(bytes);
  });

  it("counts the controller epoch up at each start, and the store's ephemeral keys do not outlive it", async () => {
    const disk = createMemoryDisk();
    const epochs: number[] = [];
    for (let start = 0; start < 3; start++) {
      const controller = await startController(disk);
      epochs.push(controller.epoch);
      disk.kill();
    }
    expect(epochs).toEqual([1, 2, 3]);
    const store = await openOn(disk);
    const observer = store.candidate();
    await observer.sync(new AbortController().signal);
    expect((await observer.describeMembers()).filter(({ alive }) => alive)).toEqual([]);
    await observer.close();
    await store.close();
  });
});

describe("a torn tail", () => {
  it("is cut off at every length, kept aside, and costs no more than the last batch", async () => {
    const { content } = await diskWithStore(3);
    const whole = createMemoryDisk();
    await whole.makeDirectory(directory);
    whole.put(path, content);
    const controller = await startController(whole);
    const start = whole.peek(path)?.length ?? 0;
    await controller.append("/test/last", "x".repeat(300));
    const end = whole.peek(path)?.length ?? 0;
    const bytes = whole.peek(path) ?? new Uint8Array(0);
    expect(end - start).toBeGreaterThan(300);
    for (let length = start + 1; length < end - 33; length += 13) {
      const disk = createMemoryDisk();
      await disk.makeDirectory(directory);
      disk.put(path, bytes.slice(0, length));
      const again = await startController(disk);
      const tree = await again.tree();
      expect(tree.has("/test/last")).toBe(false);
      expect(tree.get("/test/2")).toBe("value 2");
      const cut = again.events.find((event) => event.kind === "tailCut");
      expect(cut).toMatchObject({ bytes: length - start, position: start, keptAs: `${path}.torn` });
      expect(disk.peek(`${path}.torn`)).toEqual(bytes.slice(start, length));
      expect(await again.append("/test/next", "1")).toMatchObject({ kind: "committed" });
      await again.close();
    }
  });

  it("of zeros is one too", async () => {
    const { disk, content } = await diskWithStore();
    disk.put(path, Uint8Array.from([...content, ...new Uint8Array(5_000)]));
    const controller = await startController(disk);
    expect(controller.events).toContainEqual(expect.objectContaining({ kind: "tailCut", bytes: 5_000 }));
    await controller.close();
  });

  it("is cut even where there is no room to keep it aside, and another power cut amid the repair loses nothing", async () => {
    const { content } = await diskWithStore();
    const forks: (() => Promise<void>)[] = [];
    const disk = createMemoryDisk({
      onChange() {
        const fork = disk.fork(forks.length % 2 === 0 ? keepAll : () => ({ kind: "dropped" }));
        forks.push(async () => {
          const again = await startController(fork);
          expect((await again.tree()).get("/test/19")).toBe("value 19");
          await again.close();
        });
      },
    });
    await disk.makeDirectory(directory);
    await disk.syncDirectory("/");
    await disk.syncDirectory("/data");
    disk.put(path, Uint8Array.from([...content, 1, 2, 3]));
    forks.length = 0;
    const controller = await startController(disk);
    await controller.close();
    expect(forks.length).toBeGreaterThan(5);
    for (const check of forks) await check();
  });
});

describe("damage", () => {
  it("to any byte before the last mark refuses to start", async () => {
    const { content } = await diskWithStore(5);
    let refused = 0;
    for (let byte = 0; byte < content.length - 33; byte += 7) {
      const disk = createMemoryDisk();
      await disk.makeDirectory(directory);
      disk.put(path, content);
      disk.flipBit(path, { byte, bit: byte % 8 });
      const error: unknown = await openOn(disk).then(
        (store) => store.close(),
        (reason: unknown) => reason,
      );
      expect([byte, error]).not.toEqual([byte, undefined]);
      expect(error).toMatchObject({ name: "StoreOpenError", path });
      refused += 1;
    }
    expect(refused).toBeGreaterThan(50);
  });

  it("names the place of the damage and changes nothing", async () => {
    const { disk, content } = await diskWithStore();
    disk.flipBit(path, { byte: content.length - 100, bit: 3 });
    const damaged = disk.peek(path);
    await expect(openOn(disk)).rejects.toMatchObject({
      code: "DAMAGED",
      message: expect.stringMatching(/at byte [0-9]+ of [0-9]+: what is there was flushed/) as string,
    });
    expect(disk.peek(path)).toEqual(damaged);
  });

  it("to the last committed batch is not taken for a torn tail", async () => {
    const damageLast = async (guards = allGuards) => {
      const disk = createMemoryDisk();
      const controller = await startController(disk, { guards });
      const before = disk.peek(path)?.length ?? 0;
      await controller.append("/test/last", "1");
      await controller.consensus.sync(new AbortController().signal);
      disk.kill();
      disk.flipBit(path, { byte: before + 60, bit: 0 });
      return openOn(disk).then(
        (store) => store.close(),
        (reason: unknown) => reason,
      );
    };
    expect(await damageLast()).toMatchObject({ code: "DAMAGED" });
    expect(await damageLast({ ...allGuards, markWhenIdle: false })).toBeUndefined();
  });

  it("that looks like a store's own frame within a value is seen through", async () => {
    const { content } = await diskWithStore(2);
    const disk = createMemoryDisk();
    const controller = await startController(disk);
    const start = disk.peek(path)?.length ?? 0;
    await controller.consensus.append(controller.epoch, [{ kind: "put", key: "/test/file", value: content }]);
    const bytes = disk.peek(path) ?? new Uint8Array(0);
    const cut = createMemoryDisk();
    await cut.makeDirectory(directory);
    cut.put(path, bytes.slice(0, start + content.length));
    const again = await startController(cut);
    expect((await again.tree()).has("/test/file")).toBe(false);
    await again.close();
  });
});

describe("a store of batches", () => {
  it("is found again as it was, whatever was put and deleted", async () => {
    const disk = createMemoryDisk();
    const controller = await startController(disk);
    await controller.consensus.append(controller.epoch, [put("/test/a", ""), put("/test/b", "ünï")]);
    await controller.consensus.append(controller.epoch, [{ kind: "delete", key: "/test/a" }, put("/test/c", "\0")]);
    const before = await controller.tree();
    await controller.store.compact();
    await controller.append("/test/d", "1");
    disk.powerCut();
    const again = await startController(disk);
    const after = await again.tree();
    const test = (tree: ReadonlyMap<string, string>) => [...tree].filter(([key]) => key.startsWith("/test/"));
    expect(test(after)).toEqual([...test(before), ["/test/d", "1"]]);
    await again.close();
  });
});
