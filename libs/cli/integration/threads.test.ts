/** The threads of a broker's process, by which a log directory that hangs leaves the others alone. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { threadPoolSize } from "@tidemark/disk";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterEach, expect, test } from "vitest";

let cluster: DevCluster | undefined;
const folder = mkdtempSync(join(tmpdir(), "tidemark-threads-"));

afterEach(async () => {
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Threads of Node's pool: it makes all of them when it is first used. */
const poolThreads = (pid: number) =>
  readdirSync(`/proc/${pid}/task`).filter((thread) => {
    return readFileSync(`/proc/${pid}/task/${thread}/comm`, "utf8").trim() === "libuv-worker";
  });

test("a broker has threads for each of its log directories, however many Node gives by default", async () => {
  const dirs = [join(folder, "a"), join(folder, "b")];
  cluster = await startDevCluster({
    brokers: 1,
    env: { TIDEMARK_LOG_DIRS: dirs.join(","), UV_THREADPOOL_SIZE: undefined },
  });
  const { pid } = cluster.process("broker-1");
  // A thread of another kind may end between the list and its name: then it is looked at again.
  const threads = await waitFor("the names of its threads", () => poolThreads(pid ?? 0));
  // Each directory, and what is read beside them.
  expect(threads).toHaveLength(threadPoolSize(3));
});
