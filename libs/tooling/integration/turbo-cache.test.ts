import { execFileSync } from "node:child_process";
import { appendFileSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { root } from "../src/repository.ts";

/** A copy of the working tree, so that files can be changed. */
let copy: string;

beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), "tidemark-turbo-"));
  const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { cwd: root });
  for (const file of files.toString().trimEnd().split("\n")) {
    try {
      cpSync(join(root, file), join(copy, file));
    } catch (error) {
      // A file that was deleted and not yet committed is listed, and not there.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
  execFileSync("git", ["init", "--quiet"], { cwd: copy });
  execFileSync("git", ["add", "--all"], { cwd: copy });
});

afterAll(() => {
  rmSync(copy, { recursive: true, force: true });
});

/** The hash under which turbo would look for each task's result. */
function hashes(env: NodeJS.ProcessEnv = {}): ReadonlyMap<string, string> {
  const turbo = join(root, "node_modules", ".bin", "turbo");
  const output = execFileSync(turbo, ["run", "test:unit", "test:integration", "--dry=json"], {
    cwd: copy,
    env: { PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ""}`, TURBO_TELEMETRY_DISABLED: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { tasks } = JSON.parse(output.toString()) as { tasks: { taskId: string; hash: string; command: string }[] };
  return new Map(tasks.filter((task) => task.command !== "<NONEXISTENT>").map((task) => [task.taskId, task.hash]));
}

/** Tasks that would not be answered from the cache of `before`. */
function missed(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return [...after].filter(([task, hash]) => before.get(task) !== hash).map(([task]) => task);
}

describe("a cached result", () => {
  test("is used again where nothing changed", () => {
    expect(missed(hashes(), hashes())).toEqual([]);
  });

  test("is not used under another consensus backend", () => {
    const integration = [...hashes().keys()].filter((task) => task.endsWith("#test:integration"));
    const changed = missed(hashes({ TIDEMARK_TEST_BACKEND: "single" }), hashes({ TIDEMARK_TEST_BACKEND: "etcd" }));
    expect(integration.length).toBeGreaterThan(0);
    expect(changed).toEqual(expect.arrayContaining(integration));
  });

  test("is not used after one proto changed, wherever the protos are depended on", () => {
    const before = hashes();
    appendFileSync(join(copy, "proto", "tidemark", "common", "v1", "common.proto"), "// changed\n");
    const changed = missed(before, hashes());
    expect(changed).toEqual(expect.arrayContaining(["@tidemark/format#test:unit", "@tidemark/rpc#test:unit"]));
    expect(changed).not.toContain("@tidemark/ids#test:unit");
  });

  test.for(["broker", "controller", "gateway"])(
    "is not used after the %s changed, where whole clusters are started from this repository",
    (service) => {
      const before = hashes();
      appendFileSync(join(copy, "services", service, "src", "main.ts"), "// changed\n");
      const changed = missed(before, hashes());
      for (const name of ["broker", "controller", "gateway", "cli", "deploy"])
        expect(changed).toContain(`@tidemark/${name}#test:integration`);
      expect(changed).not.toContain("@tidemark/disk#test:integration");
    },
  );

  test("is not used after what images may copy changed", () => {
    const before = hashes();
    appendFileSync(join(copy, ".dockerignore"), "# changed\n");
    expect(missed(before, hashes())).toContain("@tidemark/deploy#test:unit");
  });
});
