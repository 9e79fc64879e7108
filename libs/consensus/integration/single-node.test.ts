import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { crc32c } from "@tidemark/compression";
import { createNodeDisk } from "@tidemark/disk";
import { createNodeRuntime } from "@tidemark/runtime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSingleStore } from "../src/index.ts";

const runtime = createNodeRuntime();
const program = join(import.meta.dirname, "writer.ts");
let directory: string;
let processes: ChildProcess[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tidemark-consensus-"));
  processes = [];
});

afterEach(async () => {
  for (const child of processes) child.kill("SIGKILL");
  await rm(directory, { recursive: true, force: true });
});

/** Starts a writer and resolves when it said that so many batches are committed, or when it ended. */
async function startWriter(committed: number) {
  const child = spawn(process.execPath, [program, join(directory, "metadata")], { stdio: ["ignore", "pipe", "pipe"] });
  processes.push(child);
  const said = { epoch: 0, committed: -1, errors: "" };
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  child.stderr.on("data", (chunk: Buffer) => {
    said.errors += chunk.toString();
  });
  await new Promise<void>((resolve) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [what, number] = line.split(" ");
      if (what === "epoch") said.epoch = Number(number);
      else said.committed = Number(number);
      if (said.committed >= committed) resolve();
    });
    ended.then(resolve, resolve);
  });
  return { child, said, ended };
}

const open = () =>
  openSingleStore({ disk: createNodeDisk({ runtime }), directory: join(directory, "metadata"), crc32c, runtime });

async function readTree(): Promise<ReadonlyMap<string, string>> {
  const store = await open();
  const observer = store.candidate();
  const stop = new AbortController();
  try {
    await observer.sync(stop.signal);
    for await (const event of observer.watch(stop.signal)) {
      if (event.kind !== "snapshot") break;
      return new Map([...event.entries].map(([key, value]) => [key, Buffer.from(value).toString()]));
    }
    throw new Error("No snapshot");
  } finally {
    await observer.close();
    await store.close();
  }
}

describe("a real process on a real disk", () => {
  it("that is killed again and again under load keeps every batch that it called committed", async () => {
    let last = 0;
    for (let round = 0; round < 3; round++) {
      const { child, said, ended } = await startWriter(60 * (round + 1));
      expect(said.errors).toBe("");
      expect(said.epoch).toBeGreaterThan(last);
      last = said.epoch;
      child.kill("SIGKILL");
      await ended;
      const tree = await readTree();
      for (let n = said.committed; n > said.committed - 20; n--) {
        const [epoch, found] = (tree.get(`/test/${n % 20}`) ?? "").split("/").map(Number);
        expect(epoch).toBe(said.epoch);
        expect(found).toBeGreaterThanOrEqual(n);
      }
    }
  });

  it("has its directory for itself, also while it is stopped, and loses it when it is killed", async () => {
    const { child, ended } = await startWriter(1);
    await expect(open()).rejects.toMatchObject({ code: "LOCKED" });
    const { said } = await startWriter(0);
    expect(said.errors).toMatch(/LOCKED/);
    child.kill("SIGSTOP");
    await expect(open()).rejects.toMatchObject({ code: "LOCKED" });
    child.kill("SIGKILL");
    await ended;
    await (await open()).close();
  });
});
