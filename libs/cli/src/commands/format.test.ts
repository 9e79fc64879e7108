import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { formatExport } from "@tidemark/consensus/transfer";
import { controllerEpoch, revision } from "@tidemark/ids";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import { runProgram } from "../program.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-format-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function run(...args: readonly string[]) {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const interrupted = new AbortController().signal;
  const code = await runProgram(args, { stdin, stdout, stderr, env: {}, workingDirectory: folder, interrupted });
  const read = (stream: PassThrough) => (stream.read() as Buffer | null)?.toString() ?? "";
  return { code, stdout: read(stdout), stderr: read(stderr) };
}

interface Plan {
  readonly clusterId: string;
  readonly voters: readonly { readonly id: string; readonly address: string }[];
  readonly list: string;
}

async function plan(): Promise<Plan> {
  const { stdout } = await run("format", "plan", "1@a.test:4651", "2@b.test:4651", "-o", "json");
  return JSON.parse(stdout) as Plan;
}

function formatting(of: Plan, nodeId: string, dir = "metadata"): readonly string[] {
  return ["format", "--dir", dir, "--node-id", nodeId, "--cluster-id", of.clusterId, "--voters", of.list];
}

describe("tidemark format", () => {
  it("makes the directory of a first voter as it was planned", async () => {
    const planned = await plan();
    const { code, stdout } = await run(...formatting(planned, "2"), "-o", "json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ nodeId: 2, directoryId: planned.voters[1]?.id });
    expect(await readdir(join(folder, "metadata", "raft"))).toEqual(expect.arrayContaining(["hard-state", "identity"]));
  });

  it("takes exported metadata of its own cluster, whole, and no others", async () => {
    const planned = await plan();
    const exportOf = (clusterId: string) =>
      formatExport({
        clusterId,
        revision: revision(7n),
        controllerEpoch: controllerEpoch(3),
        sealed: true,
        entries: new Map([["/cluster", new TextEncoder().encode(JSON.stringify({ clusterId }))]]),
      });
    await writeFile(join(folder, "other.json"), exportOf("another"));
    await writeFile(join(folder, "cut.json"), exportOf(planned.clusterId).slice(0, -5));
    await writeFile(join(folder, "move.json"), exportOf(planned.clusterId));
    const withFile = (file: string) => run(...formatting(planned, "1"), "--import", file);
    expect((await withFile("none.json")).stderr).toContain("none.json cannot be read: ENOENT");
    expect((await withFile("other.json")).stderr).toContain("metadata of the cluster another");
    expect((await withFile("cut.json")).stderr).toContain("damaged or cut off");
    expect((await withFile("move.json")).code).toBe(0);
    const snapshots = (await readdir(join(folder, "metadata", "raft"))).filter((name) => name.startsWith("snapshot-"));
    const content = await readFile(join(folder, "metadata", "raft", snapshots[0] ?? ""), "latin1");
    expect(content).toContain("/controller_epoch");
    expect(content).toContain(planned.clusterId);
  });

  it("draws other ids for each cluster, and shows what to run where", async () => {
    const [one, two] = [await plan(), await plan()];
    expect(one.clusterId).not.toBe(two.clusterId);
    expect(new Set([...one.voters, ...two.voters].map(({ id }) => id)).size).toBe(4);
    const { stdout } = await run("format", "plan", "1@a.test:4651");
    expect(stdout).toMatch(/tidemark format --dir FOLDER --node-id 1 --cluster-id \S+ --voters 1@a\.test:4651:\S+/);
  });

  it("never overwrites a vote", async () => {
    const planned = await plan();
    await run(...formatting(planned, "1"));
    const { code, stderr } = await run(...formatting(await plan(), "1"));
    expect(code).toBe(1);
    expect(stderr).toContain("FORMATTED");
  });

  test.each([
    ["a voter without a directory id", ["--voters", "1@a:4651"], "Write id@host:port:directory-id"],
    [
      "one id twice",
      ["--voters", "1@a:1:00000000-0000-4000-8000-000000000001,1@b:1:00000000-0000-4000-8000-000000000002"],
      "Controller 1 is named twice",
    ],
    ["half of the flags", ["--node-id", "1"], "format needs --dir"],
  ])("refuses %s", async (_, args, message) => {
    const { code, stderr } = await run("format", ...args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  it("refuses a node that is none of the voters, and a plan that names one twice or nobody rightly", async () => {
    expect((await run(...formatting(await plan(), "3"))).stderr).toContain("does not name controller 3");
    expect((await run("format", "plan", "1@a:1", "1@b:1")).stderr).toContain("Controller 1 is named twice");
    expect((await run("format", "plan", "a:1")).stderr).toContain("Write id@host:port, not a:1");
  });
});
