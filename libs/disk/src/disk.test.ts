import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNodeRuntime, randomUuid } from "@tidemark/runtime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFaultDisk, createMemoryDisk, createNodeDisk, type Disk, DiskError } from "./index.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (content: Uint8Array) => new TextDecoder().decode(content);
const code = async (work: Promise<unknown>) => {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof DiskError ? error.code : error;
};

/** One whose faults are that everything takes a while, as on a device. */
function createSlowDisk(): Disk {
  const { scheduler } = createNodeRuntime();
  return createFaultDisk(createMemoryDisk(), { scheduler, plan: () => ({ kind: "delay", ms: 1 }) });
}

describe.each([
  ["the real disk", () => createNodeDisk({ runtime: createNodeRuntime() })],
  ["the twin in memory", () => createMemoryDisk()],
  ["the twin in memory that takes its time", createSlowDisk],
])("%s", (_, make) => {
  let disk: Disk;
  let directory: string;

  beforeEach(async () => {
    disk = make();
    directory = join(tmpdir(), `tidemark-disk-${randomUuid(createNodeRuntime().random)}`);
    await disk.makeDirectory(directory);
  });
  afterEach(() => disk.remove(directory));

  it("reads what was written, less at the end of the file, and nothing behind it", async () => {
    const file = await disk.create(join(directory, "a"));
    await file.write(0, [bytes("hello "), bytes(""), bytes("world")]);
    await file.sync();
    expect(text(await file.read(6, 100))).toBe("world");
    expect(text(await file.read(0, 5))).toBe("hello");
    expect(await file.read(11, 5)).toHaveLength(0);
    expect(await file.read(50, 5)).toHaveLength(0);
    expect(await file.size()).toBe(11);
    await file.close();
  });

  it("writes more chunks in one call than the system takes in one", async () => {
    const file = await disk.create(join(directory, "a"));
    await file.write(
      0,
      Array.from({ length: 3000 }, (_, index) => Uint8Array.of(index & 0xff)),
    );
    const content = await file.read(0, 4000);
    expect(content).toHaveLength(3000);
    expect(content.every((byte, index) => byte === (index & 0xff))).toBe(true);
    await file.close();
  });

  it("cuts and extends a file, with zeros where it extends", async () => {
    const file = await disk.create(join(directory, "a"));
    await file.write(0, [bytes("abcdef")]);
    await file.truncate(3);
    await file.truncate(5);
    expect([...(await file.read(0, 10))]).toEqual([97, 98, 99, 0, 0]);
    await file.close();
  });

  it("names what is wrong", async () => {
    const path = join(directory, "a");
    expect(await code(disk.open(path))).toBe("NOT_FOUND");
    expect(await code(disk.list(path))).toBe("NOT_FOUND");
    const file = await disk.create(path);
    expect(await code(disk.create(path))).toBe("EXISTS");
    await file.close();
    expect(await code(file.read(0, 1))).toBe("CLOSED");
    expect(await code(file.write(0, [bytes("x")]))).toBe("CLOSED");
  });

  it("does all that a file was asked for before its close, and nothing that comes later", async () => {
    const path = join(directory, "a");
    const file = await disk.create(path);
    await file.write(0, [bytes("hello")]);
    // Both take the system several calls: past the end of the file, and more chunks than one call takes.
    const reading = file.read(0, 4000);
    const chunks = Array.from({ length: 3000 }, () => bytes("x"));
    const writing = file.write(5, chunks);
    const closing = file.close();
    const late = code(file.size());
    expect(text((await reading).subarray(0, 5))).toBe("hello");
    await writing;
    await closing;
    expect(await late).toBe("CLOSED");
    const again = await disk.open(path);
    expect(text(await again.read(0, 4000))).toBe(`hello${"x".repeat(3000)}`);
    await again.close();
  });

  it("does not write to a file opened for reading", async () => {
    const path = join(directory, "a");
    await (await disk.create(path)).close();
    const file = await disk.open(path, { readOnly: true });
    await expect(file.write(0, [bytes("x")])).rejects.toThrow(DiskError);
    await file.close();
  });

  it("lists by name, renames over a file, and removes with all that is inside", async () => {
    await disk.makeDirectory(join(directory, "sub", "deep"));
    for (const name of ["b", "a"]) {
      const file = await disk.create(join(directory, name));
      await file.write(0, [bytes(name)]);
      await file.close();
    }
    expect(await disk.list(directory)).toEqual([
      { name: "a", kind: "file" },
      { name: "b", kind: "file" },
      { name: "sub", kind: "directory" },
    ]);
    await disk.rename(join(directory, "a"), join(directory, "b"));
    await disk.remove(join(directory, "sub"));
    await disk.remove(join(directory, "never there"));
    await disk.syncDirectory(directory);
    expect(await disk.list(directory)).toEqual([{ name: "b", kind: "file" }]);
    const file = await disk.open(join(directory, "b"));
    expect(text(await file.read(0, 10))).toBe("a");
    await file.close();
  });

  it("renames what is there, and nothing in place of a directory that holds something", async () => {
    const at = (...names: string[]) => join(directory, ...names);
    await disk.makeDirectory(at("full", "inner"));
    await disk.makeDirectory(at("empty"));
    await disk.makeDirectory(at("other"));
    await (await disk.create(at("other", "content"))).close();
    await (await disk.create(at("file"))).close();
    expect(await code(disk.rename(at("never there"), at("new")))).toBe("NOT_FOUND");
    expect(await code(disk.rename(at("other"), at("full")))).toBe("EXISTS");
    expect(await code(disk.rename(at("other"), at("file")))).toBe("EXISTS");
    expect(await code(disk.rename(at("file"), at("empty")))).toBe("EXISTS");
    expect(await code(disk.rename(at("file"), at("full")))).toBe("EXISTS");
    await disk.rename(at("file"), at("file"));
    await disk.rename(at("full"), at("full"));
    await disk.rename(at("other"), at("empty"));
    expect((await disk.list(directory)).map(({ name }) => name)).toEqual(["empty", "file", "full"]);
    expect(await disk.list(at("empty"))).toEqual([{ name: "content", kind: "file" }]);
    // Between directories as well.
    expect(await code(disk.rename(at("empty", "content"), at("full", "inner")))).toBe("EXISTS");
    await disk.rename(at("empty", "content"), at("full", "content"));
    expect((await disk.list(at("full"))).map(({ name }) => name)).toEqual(["content", "inner"]);
  });

  it("tells files and directories apart", async () => {
    const folder = join(directory, "folder");
    const file = join(directory, "file");
    await disk.makeDirectory(folder);
    await (await disk.create(file)).close();
    const readAll = async () => {
      const opened = await disk.open(folder, { readOnly: true });
      try {
        return await opened.read(0, 10);
      } finally {
        await opened.close();
      }
    };
    expect(await code(disk.open(folder))).toBe("NOT_FOUND");
    expect(await code(readAll())).toBe("NOT_FOUND");
    expect(await code(disk.create(folder))).toBe("EXISTS");
    expect(await code(disk.makeDirectory(file))).toBe("EXISTS");
    expect(await code(disk.makeDirectory(join(file, "below")))).toBe("NOT_FOUND");
    expect(await code(disk.create(join(file, "below")))).toBe("NOT_FOUND");
  });

  it("gives a directory's lock to one holder at a time", async () => {
    const lock = await disk.lock(directory);
    expect(await code(disk.lock(directory))).toBe("LOCKED");
    await lock.release();
    await (await disk.lock(directory)).release();
  });
});
