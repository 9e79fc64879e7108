import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { getEtcdBinary } from "./etcd-binary.ts";

let folder: string;
let lines: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tidemark-etcd-test-"));
  lines = [];
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A program that says it is that etcd. */
function fakeEtcd(version: string, path = join(folder, `fake-${version}`)): string {
  writeFileSync(path, `#!/bin/sh\necho "etcd Version: ${version}"\n`);
  chmodSync(path, 0o755);
  return path;
}

const get = (options: Parameters<typeof getEtcdBinary>[0] = {}) =>
  getEtcdBinary({ cache: join(folder, "cache"), env: {}, report: (line) => lines.push(line), ways: [], ...options });

describe("an etcd binary", () => {
  it("is the one that ETCD_BIN names, before any other", () => {
    const path = fakeEtcd("3.6.1");
    const never = { name: "never", version: "1", get: () => expect.fail("not asked") };
    expect(get({ env: { ETCD_BIN: path }, ways: [never] })).toEqual({ path, way: "ETCD_BIN", version: "3.6.1" });
  });

  it("is refused where ETCD_BIN names something else, and nothing takes its place", () => {
    expect(() => get({ env: { ETCD_BIN: "/nowhere/etcd" } })).toThrow(/ETCD_BIN/);
  });

  it("comes by the first way that works, says which, and is kept for the next time", () => {
    let asked = 0;
    const ways = [
      {
        name: "broken",
        version: "9",
        get: () => {
          throw new Error("no registry");
        },
      },
      {
        name: "working",
        version: "3.6.2",
        get: (scratch: string) => {
          asked += 1;
          return fakeEtcd("3.6.2", join(scratch, "etcd"));
        },
      },
    ];
    expect(get({ ways })).toMatchObject({ way: "working", version: "3.6.2" });
    expect(get({ ways })).toMatchObject({ way: "an earlier run", version: "3.6.2" });
    expect(asked).toBe(1);
    expect(lines[0]).toBe("No etcd by broken: no registry");
    expect(lines[1]).toMatch(/^etcd 3\.6\.2 by working: /);
  });

  it.each(["3.5.0", "3.5.1", "3.5.2"])("of version %s is for tests that do not kill it", (version) => {
    mkdirSync(join(folder, "cache"), { recursive: true });
    fakeEtcd(version, join(folder, "cache", `etcd-${version}`));
    const ways = [{ name: "wheel", version, get: () => fakeEtcd(version) }];
    expect(get({ ways })).toMatchObject({ version });
    expect(() => get({ ways, forCrashes: true })).toThrow(/No etcd could be had[^]*crash/);
  });

  it("that cannot be had is told with what each way ended in", () => {
    const ways = [
      {
        name: "broken",
        version: "9",
        get: () => {
          throw new Error("no registry");
        },
      },
    ];
    expect(() => get({ ways })).toThrow("broken: no registry");
  });
});
