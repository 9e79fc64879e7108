import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNodeDisk } from "@tidemark/disk";
import { createNodeRuntime } from "@tidemark/runtime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const disk = createNodeDisk({ runtime: createNodeRuntime() });
let directory: string;
let holder: ChildProcess;

/** Takes the lock of the directory that it is given, says so, and stays. */
const holdLock = `
import { createNodeDisk } from "@tidemark/disk";
import { createNodeRuntime } from "@tidemark/runtime";
await createNodeDisk({ runtime: createNodeRuntime() }).lock(process.argv[1]);
process.stdout.write("held\\n");
process.stdin.resume();
`;

async function startHolder(): Promise<ChildProcess> {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", holdLock, directory], {
    cwd: import.meta.dirname,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  expect(said.toString()).toBe("held\n");
  return child;
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "tidemark-lock-"));
  holder = await startHolder();
});
afterEach(() => {
  holder.kill("SIGKILL");
  rmSync(directory, { recursive: true });
});

describe("a directory's lock, between processes", () => {
  it("is held while its holder lives, also while that is stopped", async () => {
    await expect(disk.lock(directory)).rejects.toMatchObject({ code: "LOCKED" });
    holder.kill("SIGSTOP");
    await expect(disk.lock(directory)).rejects.toMatchObject({ code: "LOCKED" });
  });

  it("is free at once when its holder is killed", async () => {
    const ended = once(holder, "exit");
    holder.kill("SIGKILL");
    await ended;
    await (await disk.lock(directory)).release();
  });
});
