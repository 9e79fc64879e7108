/** Replicas that stop, and a controller that is gone: what real brokers and gateways say and do meanwhile. */
import { type Client, createClient } from "@tidemark/client";
import { AdminService } from "@tidemark/proto/admin/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { LogService } from "@tidemark/proto/log/v1";
import { createChannelPool, createRpcClient } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const topic = "orders";
const sessionTimeoutMs = 2400;
const timers = {
  TIDEMARK_BROKER_HEARTBEAT_INTERVAL_MS: "400",
  TIDEMARK_BROKER_SESSION_TIMEOUT_MS: `${sessionTimeoutMs}`,
  TIDEMARK_REPLICA_LAG_TIME_MAX_MS: "3000",
};
const gateways = ["gateway-1", "gateway-2"];
const brokers = ["broker-1", "broker-2", "broker-3"];

const pool = createChannelPool({ runtime: createNodeRuntime() });
let cluster: DevCluster;
let client: Client;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 3, gateways: 2, env: timers });
  client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
  await client.admin.createTopic({ topic, partitions: 1, replicationFactor: 3 });
});

afterAll(async () => {
  pool.close();
  client.close();
  await cluster.stop();
});

const adminAt = (name: string) => createRpcClient(AdminService, pool.get(cluster.endpoint(name), "admin"));
const logAt = (name: string) => createRpcClient(LogService, pool.get(cluster.endpoint(name), "fetch"));

/** The partition as one process knows it. */
async function partitionAt(name: string) {
  const { topics } = await adminAt(name).describeTopics({ topics: [topic] });
  const partition = topics[0]?.partitions[0];
  if (partition === undefined) throw new Error(`${name} does not know the partition`);
  return partition;
}

/** Resolves with the partition when all of these know it at one partition epoch, with an ISR of this size. */
async function agreed(names: readonly string[], isrSize: number) {
  return waitFor(`${names.join(", ")} to agree on an ISR of ${isrSize}`, async () => {
    const [first, ...others] = await Promise.all(names.map(partitionAt));
    const agree = others.every((each) => JSON.stringify(each) === JSON.stringify(first));
    return agree && first?.isr.length === isrSize ? first : undefined;
  });
}

/** Kills every controller. Resolves with what starts them all again. */
async function killControllers(): Promise<() => Promise<unknown>> {
  const names = cluster.processes().flatMap(({ role, id }) => (role === "controller" ? [`controller-${id}`] : []));
  await Promise.all(names.map((name) => cluster.kill(name)));
  return () => Promise.all(names.map((name) => cluster.start(name)));
}

const text = (value: string) => ({ valueForm: { case: "text", value } as const });
const appendTo = (name: string, value: string, timeoutMs = 30_000) =>
  logAt(name).produce({ topic, partition: 0, records: [text(value)] }, { timeoutMs });

/** Every value of the partition. */
async function valuesInLog(): Promise<string[]> {
  const values: string[] = [];
  for await (const { records } of client.createConsumer({ topic, untilEnd: true }).batches()) {
    for (const { value } of records) values.push(new TextDecoder().decode(value ?? undefined));
  }
  return values;
}

describe("a partition with three replicas", () => {
  it("20: has a smaller ISR everywhere while a follower is paused, and the whole one by itself afterwards", async () => {
    const before = await agreed([...gateways, ...brokers], 3);
    const follower = `broker-${before.isr.find((id) => id !== before.leader)}`;
    const live = brokers.filter((name) => name !== follower);
    cluster.signal(follower, "SIGSTOP");
    try {
      const without = await agreed([...gateways, ...live], 2);
      expect(without).toMatchObject({ leader: before.leader, leaderEpoch: before.leaderEpoch });
      expect(without.partitionEpoch).toBeGreaterThan(before.partitionEpoch);
      await appendTo("gateway-2", "while a follower is paused");
    } finally {
      cluster.signal(follower, "SIGCONT");
    }
    await agreed([...gateways, ...brokers], 3);
    expect(await valuesInLog()).toContain("while a follower is paused");
  });

  it("19: refuses acks=all while two of three are gone; the producer goes on by itself when one is back", async () => {
    const { leader, replicas } = await agreed(gateways, 3);
    const gone = replicas.filter((id) => id !== leader).map((id) => `broker-${id}`);
    for (const name of gone) await cluster.kill(name);
    await agreed(gateways, 1);
    const refused = appendTo(`broker-${leader}`, "refused");
    await expect(refused).rejects.toMatchObject({ reason: Reason.NOT_ENOUGH_REPLICAS });
    const producer = client.createProducer();
    const values = Array.from({ length: 50 }, (_, number) => `patient ${number}`);
    const outcomes = Promise.all(
      values.map((value) => producer.send(topic, { value: new TextEncoder().encode(value), partition: 0 })),
    );
    await cluster.start(gone[0] ?? "");
    expect((await outcomes).map(({ kind }) => kind)).toEqual(values.map(() => "acknowledged"));
    await producer.close();
    const found = await valuesInLog();
    expect(found.filter((value) => values.includes(value))).toEqual(values);
    expect(found).not.toContain("refused");
    await cluster.start(gone[1] ?? "");
    await agreed([...gateways, ...brokers], 3);
  });

  it("goes on without a controller for longer than a session lasts, and stands as before when one is back", async () => {
    const before = await agreed([...gateways, ...brokers], 3);
    const startControllers = await killControllers();
    const goneAtMs = performance.now();
    let count = 0;
    do {
      const { results } = await appendTo(gateways[count % 2] ?? "", `alone ${count}`);
      const offset = results[0]?.baseOffset ?? -1n;
      const { partitions } = await logAt(gateways[(count + 1) % 2] ?? "").fetch({
        topic,
        partitions: [{ partition: 0, start: { case: "offset", value: offset } }],
      });
      expect(partitions[0]?.records[0]?.offset).toBe(offset);
      count++;
    } while (performance.now() - goneAtMs < 2 * sessionTimeoutMs);
    await startControllers();
    const after = await agreed([...gateways, ...brokers], 3);
    expect(after).toMatchObject({ leader: before.leader, leaderEpoch: before.leaderEpoch });
    const values = await valuesInLog();
    expect(values.filter((value) => value.startsWith("alone"))).toEqual(
      Array.from({ length: count }, (_, number) => `alone ${number}`),
    );
  });

  it("22: is not served by a leader that hears neither controller nor follower, until it hears one again", async () => {
    const { leader, replicas } = await agreed([...gateways, ...brokers], 3);
    const own = `broker-${leader}`;
    const followers = replicas.filter((id) => id !== leader).map((id) => `broker-${id}`);
    const read = () =>
      logAt(own).fetch({ topic, partitions: [{ partition: 0, start: { case: "offset", value: 0n } }] });
    expect((await read()).partitions[0]?.records.length).toBeGreaterThan(0);
    const startControllers = await killControllers();
    for (const name of followers) cluster.signal(name, "SIGSTOP");
    const failed = await waitFor("the leader to serve no more", () =>
      read().then(
        () => undefined,
        (error: unknown) => error,
      ),
    );
    expect(failed).toMatchObject({ retriable: true });
    await expect(appendTo(own, "never acknowledged", 1000)).rejects.toThrow();
    for (const name of followers) cluster.signal(name, "SIGCONT");
    await waitFor("the leader to serve again", async () => (await read()).partitions[0]?.records.length);
    await startControllers();
    await agreed([...gateways, ...brokers], 3);
    expect(await valuesInLog()).toContain("while a follower is paused");
  });
});
