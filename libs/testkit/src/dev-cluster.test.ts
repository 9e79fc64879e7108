import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startDevCluster } from "./dev-cluster.ts";
import { etcdForCrashes } from "./etcd/etcd-for-crashes.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tidemark-dev-cluster-test-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A program that says it is that etcd. */
function fakeEtcd(version: string): string {
  const path = join(folder, `etcd-${version}`);
  writeFileSync(path, `#!/bin/sh\necho "etcd Version: ${version}"\n`);
  chmodSync(path, 0o755);
  return path;
}

describe("a cluster whose etcd tests may kill", () => {
  it.each([{ flags: ["--backend=etcd"] }, { flags: ["--backend=single", "--backend=etcd", "--etcds=3"] }])(
    "does not start on an etcd that may lose data in a crash: $flags",
    async ({ flags }) => {
      const env = { ETCD_BIN: fakeEtcd("3.5.1") };
      await expect(startDevCluster({ flags, env })).rejects.toThrow(/etcd 3\.5\.1 .* is not killed here/);
    },
  );

  it("is told which other one to take", () => {
    const path = fakeEtcd("3.5.3");
    expect(etcdForCrashes(["--backend=etcd"], { ETCD_BIN: path })).toEqual({ ETCD_BIN: path });
  });

  it.each([
    { flags: ["--backend=single"] },
    { flags: ["--backend=etcd", "--backend=raft"] },
    { flags: ["--backend=etcd", "--etcd-endpoints=127.0.0.1:2379"] },
  ])("runs none of its own with $flags, and is told nothing", ({ flags }) => {
    expect(etcdForCrashes(flags, { ETCD_BIN: fakeEtcd("3.5.1") })).toEqual({});
  });
});
