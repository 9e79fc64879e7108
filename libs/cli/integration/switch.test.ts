/** The drill of `tidemark dev switch`: a running cluster moves its metadata through every backend, and goes on meanwhile. */
import { type DevCluster, startDevCluster } from "@tidemark/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";

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

it("a running cluster moves from a file to a quorum, to etcd, to a quorum and back to a file", async () => {
  await tidemark(["topic", "create", "kept", "--partitions", "1", "--replication-factor", "1"]);
  const { pid } = cluster.process("broker-1");
  const before = await quorum();
  const topics = ["/topics/kept"];
  for (const next of ["raft", "etcd", "raft", "single"]) {
    expect(await switchTo(next)).toContain(`keeps its metadata in ${next} now`);
    const topic = `made-${topics.length}`;
    await tidemark(["topic", "create", topic, "--partitions", "1", "--replication-factor", "1"]);
    topics.push(`/topics/${topic}`);
  }
  const after = await quorum();
  expect(after.backend).toBe("single");
  // Each seal and each start counts it up.
  expect(after.controllerEpoch).toBeGreaterThanOrEqual(before.controllerEpoch + 8);
  expect(await tidemark(["metadata", "ls", "/topics"])).toBe(`${topics.join("\n")}\n`);
  await tidemark(["produce", "kept"], "still here\n");
  expect(await tidemark(["consume", "kept", "--from", "earliest", "--max", "1", "--format", "raw"])).toBe(
    "still here\n",
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
