/** Brokers that copy much, as real processes: their signs of life go their own way. */
import { type Client, createClient } from "@tidemark/client";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { createDialRelay, type DialRelay } from "@tidemark/testkit/dial-relay";
import { afterAll, beforeAll, expect, it } from "vitest";

const topic = "backlog";
const backlogBytes = 50 * 2 ** 20;
const valueBytes = 64 * 1024;
/** Each way: an answer has a mebibyte, about, so the whole takes several times as long as a session may be silent. */
const delayMs = 300;

let relay: DialRelay;
let cluster: DevCluster;
let client: Client;

beforeAll(async () => {
  relay = await createDialRelay();
  cluster = await startDevCluster({ brokers: 3, env: relay.env });
  client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
});

afterAll(async () => {
  client.close();
  await cluster.stop();
  await relay.close();
});

async function describePartition() {
  const { topics } = await client.admin.describeTopics({ topics: [topic] });
  const partition = topics[0]?.partitions[0];
  if (partition === undefined) throw new Error("The topic has no partition");
  return partition;
}

async function describeBroker(id: number) {
  const { brokers } = await client.admin.describeCluster({});
  return brokers.find(({ brokerId }) => brokerId === id);
}

const inSync = (replicas: number) =>
  waitFor(`${replicas} replicas in sync`, async () => {
    const partition = await describePartition();
    return partition.isr.length === replicas && partition;
  });

async function produceBacklog(): Promise<void> {
  const producer = client.createProducer();
  const value = new Uint8Array(valueBytes).fill(7);
  const outcomes = await Promise.all(
    Array.from({ length: backlogBytes / valueBytes }, () => producer.send(topic, { value, partition: 0 })),
  );
  expect(outcomes.filter(({ kind }) => kind !== "acknowledged")).toEqual([]);
  await producer.close();
}

/** Who it is, for the relay. */
function relayed(name: string) {
  const { pid = 0, endpoints } = cluster.process(name);
  return { pid, ports: Object.values(endpoints).map((endpoint) => Number(endpoint.split(":").at(-1))) };
}

it("51: a catch-up of 50 MiB over a slow link lasts longer than two sessions, and delays no heartbeat of its broker", async () => {
  await client.admin.createTopic({ topic, partitions: 1, replicationFactor: 3 });
  const { leader = 0, replicas } = await inSync(3);
  const [away = 0, silent = 0] = replicas.filter((id) => id !== leader);
  await cluster.kill(`broker-${away}`);
  await produceBacklog();
  await inSync(2);
  // It is ready when it has everything: nobody waits for that here.
  const started = cluster.start(`broker-${away}`);
  const process = await waitFor("the broker to run again", () => {
    const { pid } = cluster.process(`broker-${away}`);
    return pid !== undefined && relayed(`broker-${away}`);
  });
  relay.slow(process, delayMs);
  const session = await waitFor("its session to begin", async () => {
    const broker = await describeBroker(away);
    return broker?.alive === true && broker;
  });
  for (const time of ["first", "second"]) {
    // Another one says nothing for a while: when its session is over, a session's whole time has passed.
    cluster.signal(`broker-${silent}`, "SIGSTOP");
    try {
      await waitFor(
        `the silent broker's session to end a ${time} time`,
        async () => !(await describeBroker(silent))?.alive,
      );
    } finally {
      cluster.signal(`broker-${silent}`, "SIGCONT");
    }
    expect((await describePartition()).isr).not.toContain(away);
    expect(await describeBroker(away)).toMatchObject({ alive: true, brokerEpoch: session.brokerEpoch });
    await waitFor("the silent broker to speak again", async () => (await describeBroker(silent))?.alive);
  }
  relay.slow(process, 0);
  await started;
  await inSync(3);
  expect(await describeBroker(away)).toMatchObject({ alive: true, brokerEpoch: session.brokerEpoch });
});
