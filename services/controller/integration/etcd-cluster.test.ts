/** A whole cluster of real processes whose controllers keep the metadata in an etcd of its own. */
import { etcdMembers } from "@tidemark/consensus-etcd";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const { clock } = createNodeRuntime();
let cluster: DevCluster;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 1, flags: ["--backend=etcd", "--controllers=3", "--etcds=1"] });
});

afterAll(() => cluster.stop());

/** The active controller by etcd's word, and its epoch. */
async function activeController(): Promise<{ readonly id: number; readonly epoch: number }> {
  const endpoints = [cluster.endpoint("etcd-1")];
  const stubs = etcdMembers({ endpoints, clock, callTimeoutMs: 2_000 }).connect(endpoints[0] ?? "");
  try {
    const { entries } = await stubs.range({ key: "/tidemark/controller" });
    const { controllerId, controllerEpoch } = JSON.parse(Buffer.from(entries[0]?.value ?? []).toString()) as {
      readonly controllerId: number;
      readonly controllerEpoch: number;
    };
    return { id: controllerId, epoch: controllerEpoch };
  } finally {
    stubs.close();
  }
}

async function tidemark(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await cluster.tidemark(args);
  if (code !== 0) throw new Error(`tidemark ${args.join(" ")} ended with ${code}: ${stderr}`);
  return stdout.toString();
}

const create = (topic: string) => tidemark("topic", "create", topic, "--partitions", "1", "--replication-factor", "1");

describe("a cluster on etcd", () => {
  it("keeps its metadata there, for anybody to read", async () => {
    await create("first");
    const endpoints = [cluster.endpoint("etcd-1")];
    const stubs = etcdMembers({ endpoints, clock, callTimeoutMs: 2_000 }).connect(endpoints[0] ?? "");
    const { entries } = await stubs.range({ key: "/tidemark/", rangeEnd: "/tidemark0" });
    stubs.close();
    const keys = entries.map(({ key }) => key);
    expect(keys).toEqual(
      expect.arrayContaining([
        "/tidemark/append",
        "/tidemark/cluster",
        "/tidemark/controller",
        "/tidemark/topics/first",
      ]),
    );
    for (const { value } of entries) JSON.parse(Buffer.from(value).toString());
  });

  it("serves records while etcd is down, and decides again when it is back", async () => {
    await cluster.kill("etcd-1");
    const sent = await cluster.tidemark(["produce", "first"], { input: "while etcd is away\n" });
    expect(sent.code).toBe(0);
    await cluster.start("etcd-1");
    await waitFor("a topic to be created", () => create("third").then(() => true));
    const consumed = await tidemark("consume", "first", "--from", "earliest", "--max", "1");
    expect(consumed).toContain("while etcd is away");
  });

  it("is the same one after everything was killed at once", async () => {
    const before = await activeController();
    await cluster.killAll();
    await cluster.startAll();
    expect(await tidemark("topic", "list")).toContain("third");
    expect((await activeController()).epoch).toBeGreaterThan(before.epoch);
  });
});
