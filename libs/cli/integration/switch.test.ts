/**
 * The metadata of a running cluster: looked at by key, and the drill of `tidemark dev switch`, which moves them through
 * every backend while the cluster goes on.
 */
import { spawn } from "node:child_process";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { main } from "./dev-process.ts";

let cluster: DevCluster;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 1, flags: ["--backend=single", "--controllers=1"] });
});

afterAll(() => cluster.stop());

async function tidemark(args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await cluster.tidemark(args, input === undefined ? {} : { input });
  if (code !== 0) throw new Error(`tidemark ${args.join(" ")} ended with ${code}: ${stderr}`);
  return stdout.toString();
}

const switchTo = (backend: string) => tidemark(["dev", "switch", "--backend", backend, "--data", cluster.data]);
const quorum = async () =>
  JSON.parse(await tidemark(["controller", "quorum", "-o", "json"])) as { backend: string; controllerEpoch: number };

/** `metadata watch /topics`, up to so many lines. */
function watchTopics(lines: number) {
  const server = ["--server", cluster.endpoint("gateway-1")];
  const args = [main, "metadata", "watch", "/topics", "--max", String(lines), ...server];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill());
  let text = "";
  child.stdout.on("data", (piece: Buffer) => {
    text += piece.toString();
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const shows = (line: RegExp) => waitFor(`${line.source} to be shown`, () => line.test(text));
  return { shows, ended };
}

interface Shown {
  readonly key: string;
  readonly value: string;
}

it("a key is shown, and watched as it is, as it is put and as it goes", async () => {
  await tidemark(["topic", "create", "shown", "--partitions", "1", "--replication-factor", "1"]);
  const key = "/topics/shown";
  const asText = await tidemark(["metadata", "get", key]);
  expect(JSON.parse(asText)).toMatchObject({ topicId: expect.stringMatching(/^[0-9a-f-]{36}$/) as unknown });
  const asJson = JSON.parse(await tidemark(["metadata", "get", key, "-o", "json"])) as Shown;
  expect(asJson).toEqual({ key, value: asText.trimEnd() });

  const is = await tidemark(["metadata", "watch", "/topics", "--max", "1", "-o", "json"]);
  expect(JSON.parse(is)).toEqual({ ...asJson, revision: expect.any(Number) as unknown, change: "is" });

  const watch = watchTopics(3);
  await watch.shows(/^\d+ is \/topics\/shown \{.*\}$/m);
  await tidemark(["topic", "alter", "shown", "--config", "retention.ms=77777"]);
  await watch.shows(/^\d+ put \/topics\/shown \{.*77777.*\}$/m);
  await tidemark(["topic", "delete", "shown"]);
  await watch.shows(/^\d+ removed \/topics\/shown$/m);
  expect(await watch.ended).toBe(0);
  const gone = await cluster.tidemark(["metadata", "get", key]);
  expect([gone.code, gone.stderr]).toEqual([1, expect.stringContaining(`There is no key ${key}`)]);
});

it("a running cluster moves from a file to a quorum, to etcd, to a quorum and back to a file", async () => {
  await tidemark(["topic", "create", "kept", "--partitions", "1", "--replication-factor", "1"]);
  const { pid } = cluster.process("broker-1");
  const before = await quorum();
  const topics = ["/topics/kept"];
  const records = ["before any move"];
  const produce = (record: string) => tidemark(["produce", "kept"], `${record}\n`);
  await produce(records[0] ?? "");
  for (const next of ["raft", "etcd", "raft", "single"]) {
    expect(await switchTo(next)).toContain(`keeps its metadata in ${next} now`);
    records.push(`behind move ${records.length}, to ${next}`);
    await produce(records.at(-1) ?? "");
    const topic = `made-${topics.length}`;
    await tidemark(["topic", "create", topic, "--partitions", "1", "--replication-factor", "1"]);
    topics.push(`/topics/${topic}`);
  }
  const after = await quorum();
  expect(after.backend).toBe("single");
  // Each seal and each start counts it up.
  expect(after.controllerEpoch).toBeGreaterThanOrEqual(before.controllerEpoch + 8);
  expect(await tidemark(["metadata", "ls", "/topics"])).toBe(`${topics.join("\n")}\n`);
  expect(await tidemark(["consume", "kept", "--from", "earliest", "--until-end", "--format", "raw"])).toBe(
    `${records.join("\n")}\n`,
  );
  expect(cluster.process("broker-1").pid).toBe(pid);
});

it("a move that cannot be made leaves the cluster as it was", async () => {
  const taken = await cluster.tidemark(["dev", "switch", "--backend", "single", "--data", cluster.data]);
  expect(taken.stderr).toContain("in single already");
  const lost = ["dev", "switch", "--backend", "etcd", "--etcd-endpoints", "127.0.0.1:1", "--data", cluster.data];
  const { code, stderr } = await cluster.tidemark(lost);
  expect([code, stderr]).toEqual([1, expect.stringMatching(/no etcd at 127\.0\.0\.1:1.*nothing was changed/s)]);
});
