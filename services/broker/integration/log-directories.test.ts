/** Brokers with two log directories each, of which one goes out of service, is replaced, and comes back. */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, createClient } from "@tidemark/client";
import { ReplicaCondition, ReplicaService } from "@tidemark/proto/replica/v1";
import { createChannelPool, createRpcClient } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const topic = "orders";
const partitions = 4;
const victim = 2;

const pool = createChannelPool({ runtime: createNodeRuntime() });
let cluster: DevCluster;
let client: Client;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 3, flags: ["--log-dirs=2"], env: { TIDEMARK_DEBUG_PAGE: "true" } });
  client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
  await client.admin.createTopic({ topic, partitions, replicationFactor: 3 });
});

afterAll(async () => {
  pool.close();
  client.close();
  await cluster.stop();
});

/** Produces a record to each partition, and expects every ack. */
async function produceToAll(): Promise<void> {
  const producer = client.createProducer();
  const outcomes = await Promise.all(
    Array.from({ length: partitions }, (_, partition) =>
      producer.send(topic, { value: new TextEncoder().encode("one more"), partition }),
    ),
  );
  expect(outcomes.map(({ kind }) => kind)).toEqual(outcomes.map(() => "acknowledged"));
  await producer.close();
}

/** Resolves with the partitions when these replicas are in sync, and no others. */
async function inSync(replicasOf: (partition: number) => number) {
  return waitFor("the ISRs", async () => {
    const { topics } = await client.admin.describeTopics({ topics: [topic] });
    const [described] = topics;
    const isSo = described?.partitions.every(({ partition, isr }) => isr.length === replicasOf(partition));
    return isSo === true && described;
  });
}

/** The victim's replicas as it tells of them, by partition. */
async function ownReplicas() {
  const channel = pool.get(cluster.endpoint(`broker-${victim}`, "internal"), "admin");
  const { replicas } = await createRpcClient(ReplicaService, channel).describeReplica({});
  return replicas.toSorted((a, b) => a.partition - b.partition);
}

/** Resolves when every replica of the victim is served and has as many records. */
async function wholeUpTo(end: bigint): Promise<void> {
  await waitFor("everything to be there", async () => {
    const all = await ownReplicas();
    const isWhole = all.every(({ logEnd, condition }) => logEnd === end && condition === ReplicaCondition.ONLINE);
    return all.length === partitions && isWhole;
  });
}

/** What a process tells of itself at /debug. */
async function debugPageOf(name: string) {
  const answer = await fetch(`http://${cluster.process(name).endpoints["metrics"] ?? ""}/debug`);
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { readonly service: Readonly<Record<string, unknown>> }).service;
}

describe("a log directory of a broker with two", () => {
  it("is out of service alone: its replicas are offline, the others serve, and it is whole when it is back", async () => {
    await inSync(() => 3);
    await produceToAll();
    const folder = join(cluster.data, `broker-${victim}`, "log-2");
    await cluster.kill(`broker-${victim}`);
    renameSync(folder, `${folder}.away`);
    writeFileSync(folder, "no directory");
    await cluster.start(`broker-${victim}`);
    const replicas = await waitFor("half of its replicas to serve", async () => {
      const all = await ownReplicas();
      return all.filter(({ condition }) => condition === ReplicaCondition.ONLINE).length === partitions / 2 && all;
    });
    const offline = replicas.filter(({ condition }) => condition === ReplicaCondition.OFFLINE);
    expect(offline).toHaveLength(partitions / 2);
    for (const { damage } of offline) expect(damage).toMatch(/log directory .* does not have/);
    const isOffline = (partition: number) => offline.some((each) => each.partition === partition);
    const described = await inSync((partition) => (isOffline(partition) ? 2 : 3));
    for (const { partition, leader, offline: gone } of described.partitions) {
      expect(gone).toEqual(isOffline(partition) ? [victim] : []);
      if (isOffline(partition)) expect(leader).not.toBe(victim);
    }
    // For whoever looks for what is wrong: the page needs neither the disk nor the controller.
    await cluster.kill("controller-1");
    expect(await debugPageOf(`broker-${victim}`)).toMatchObject({
      directories: [{ state: "works" }, { path: folder, state: "not open" }],
    });
    expect(await debugPageOf("gateway-1")).toMatchObject({ brokers: 3 });
    await cluster.start("controller-1");
    await produceToAll();

    await cluster.kill(`broker-${victim}`);
    rmSync(folder);
    renameSync(`${folder}.away`, folder);
    await cluster.start(`broker-${victim}`);
    await inSync(() => 3);
    await wholeUpTo(2n);
  });

  it("that is replaced by an empty one is filled from the leaders, also with the old one when that is back", async () => {
    const folder = join(cluster.data, `broker-${victim}`, "log-2");
    await cluster.kill(`broker-${victim}`);
    renameSync(folder, `${folder}.away`);
    await cluster.start(`broker-${victim}`);
    await wholeUpTo(2n);
    await inSync(() => 3);
    await produceToAll();

    await cluster.kill(`broker-${victim}`);
    rmSync(folder, { recursive: true });
    renameSync(`${folder}.away`, folder);
    await cluster.start(`broker-${victim}`);
    await wholeUpTo(3n);
    await inSync(() => 3);
  });
});
