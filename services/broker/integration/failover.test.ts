/** Three brokers as real processes, one partition with three replicas, and leaders that die under load. */
import { type Client, createClient } from "@tidemark/client";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const topic = "ledger";
/** Kills of a leader, each after the one before it is in sync again. */
const kills = 3;
/** Records that have to be acknowledged between two of them. */
const recordsBetween = 2000;
/** Records on their way at once. */
const inFlight = 200;

let cluster: DevCluster;
let client: Client;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 3 });
  client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
});

afterAll(async () => {
  client.close();
  await cluster.stop();
});

async function describeLedger() {
  const { topics } = await client.admin.describeTopics({ topics: [topic] });
  const partition = topics[0]?.partitions[0];
  if (partition === undefined) throw new Error("The topic has no partition");
  return partition;
}

/** The number of a record, made into bytes of some length that only this number has. */
function valueOf(number: number): Uint8Array {
  return new TextEncoder().encode(`${number} `.repeat(1 + (number % 40)));
}

/** Produces with acks=all, record after record, until `stop`; knows what was acknowledged where. */
function startLoad() {
  const producer = client.createProducer();
  const acknowledged = new Map<number, bigint>();
  const failures: string[] = [];
  let next = 0;
  let isOver = false;
  const work = async () => {
    while (!isOver) {
      const number = next++;
      const outcome = await producer.send(topic, { value: valueOf(number), partition: 0 });
      if (outcome.kind === "acknowledged") acknowledged.set(number, outcome.offset ?? -1n);
      else failures.push(`${outcome.kind}: ${outcome.error.message}`);
    }
  };
  const workers = Array.from({ length: inFlight }, work);
  return {
    acknowledged,
    failures,
    async stop() {
      isOver = true;
      await Promise.all(workers);
      await producer.close();
    },
  };
}

/**
 * Kills the leader while its followers are frozen, with records in its log that they do not have. What was acknowledged
 * they have: a leader that counted only itself would lose it here.
 */
async function killAheadOf(leader: string, followers: readonly string[]): Promise<void> {
  const producer = client.createProducer({ acks: "leader" });
  for (const follower of followers) cluster.signal(follower, "SIGSTOP");
  try {
    for (let count = 0; count < 20; count++) await producer.send(topic, { value: null, key: valueOf(0), partition: 0 });
    cluster.signal(leader, "SIGKILL");
  } finally {
    for (const follower of followers) cluster.signal(follower, "SIGCONT");
  }
  await waitFor(`${leader} to be seen dead`, () => cluster.process(leader).state === "failed");
  await producer.close();
}

/** Every record of the partition, by its offset. */
async function readAll(): Promise<Map<bigint, Uint8Array | null>> {
  const found = new Map<bigint, Uint8Array | null>();
  for await (const { records } of client.createConsumer({ topic, untilEnd: true }).batches()) {
    for (const { offset, value } of records) found.set(offset, value);
  }
  return found;
}

describe("a partition with three replicas", () => {
  it("loses nothing that was acknowledged when its leaders are killed under load, one after the other", async () => {
    await client.admin.createTopic({ topic, partitions: 1, replicationFactor: 3 });
    const load = startLoad();
    const more = (what: string) => {
      const before = load.acknowledged.size;
      return waitFor(what, () => load.acknowledged.size >= before + recordsBetween);
    };
    await more("the first acks");
    const epochs: number[] = [];
    for (let kill = 0; kill < kills; kill++) {
      await waitFor("all replicas to be in sync", async () => (await describeLedger()).isr.length === 3);
      const { leader, leaderEpoch, replicas } = await describeLedger();
      epochs.push(leaderEpoch);
      const followers = replicas.filter((id) => id !== leader).map((id) => `broker-${id}`);
      if (kill === 0) await cluster.kill(`broker-${leader}`);
      else await killAheadOf(`broker-${leader}`, followers);
      await more(`acks after the death of broker ${leader}`);
      await cluster.start(`broker-${leader}`);
    }
    await waitFor("all replicas to be in sync", async () => (await describeLedger()).isr.length === 3);
    await load.stop();
    expect(epochs).toEqual(epochs.toSorted((a, b) => a - b));
    expect(new Set(epochs).size).toBe(kills);
    expect(load.failures).toEqual([]);
    const found = await readAll();
    const lost = [...load.acknowledged].filter(([number, offset]) => {
      const value = found.get(offset);
      return value === undefined || value === null || !Buffer.from(value).equals(valueOf(number));
    });
    expect(lost).toEqual([]);
    expect(load.acknowledged.size).toBeGreaterThanOrEqual((kills + 1) * recordsBetween);
  }, 300_000);
});
