/** Readers and writers over two gateways while leaders change again and again. */
import { type Client, createClient } from "@tidemark/client";
import { AdminService, ElectionType } from "@tidemark/proto/admin/v1";
import { LogService } from "@tidemark/proto/log/v1";
import { createChannelPool, createRpcClient, TidemarkError } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const topic = "orders";
const partitions = 24;
/** Elections of leaders that the readers have to come through. */
const elections = 50;
/** Who produce and read back at once. */
const workers = 4;

const pool = createChannelPool({ runtime: createNodeRuntime() });
let cluster: DevCluster;
let client: Client;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 3, gateways: 2 });
  client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
  await client.admin.createTopic({ topic, partitions, replicationFactor: 3 });
});

afterAll(async () => {
  pool.close();
  client.close();
  await cluster.stop();
});

const admin = () => createRpcClient(AdminService, pool.get(cluster.endpoint("gateway-1"), "admin"));
const logAt = (gateway: number) =>
  createRpcClient(LogService, pool.get(cluster.endpoint(`gateway-${gateway}`), "produce"));
const text = (value: string) => ({ valueForm: { case: "text", value } as const });

async function describeTopic() {
  const { topics } = await admin().describeTopics({ topics: [topic] });
  return topics[0]?.partitions ?? [];
}

/** Each election counts the leader epoch of its partition one up. */
async function electionsSoFar(): Promise<number> {
  return (await describeTopic()).reduce((sum, { leaderEpoch }) => sum + leaderEpoch, 0);
}

/** Repeats what fails for a reason that passes. */
async function patiently<Value>(work: () => Promise<Value>): Promise<Value> {
  return waitFor("an answer", async () => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof TidemarkError && error.retriable) return undefined;
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
  });
}

interface Acked {
  readonly partition: number;
  readonly offset: bigint;
  readonly value: string;
}

/** Produces through one gateway and reads what was acknowledged through the other, at its offset, until `stop`. */
function startWriters() {
  const acked: Acked[] = [];
  const missing: string[] = [];
  let isOver = false;
  const readBack = async (gateway: number, { partition, offset, value }: Acked, leaderEpoch: number) => {
    const start = { case: "offset", value: offset } as const;
    const { partitions: found } = await patiently(() =>
      logAt(gateway).fetch({ topic, partitions: [{ partition, start, leaderEpoch }], maxWaitMs: 20_000 }),
    );
    const [record] = found[0]?.records ?? [];
    const isThere = record?.offset === offset && Buffer.from(bytesOf(record)).toString() === value;
    if (!isThere) missing.push(`${partition} at ${offset}: ${value}, found ${record?.offset ?? "nothing"}`);
  };
  const write = async (worker: number) => {
    for (let number = 0; !isOver; number++) {
      const value = `${worker} ${number}`;
      const partition = (worker * 7 + number) % partitions;
      try {
        const { results } = await logAt(1 + (number % 2)).produce({ topic, partition, records: [text(value)] });
        const [result] = results;
        if (result?.baseOffset === undefined) continue;
        const one = { partition, offset: result.baseOffset, value };
        acked.push(one);
        await readBack(2 - (number % 2), one, result.leaderEpoch);
      } catch (error) {
        // What was not acknowledged may be there or not.
        if (!(error instanceof TidemarkError)) throw error;
      }
    }
  };
  const writing = Array.from({ length: workers }, (_, worker) => write(worker));
  return {
    acked,
    missing,
    async stop() {
      isOver = true;
      await Promise.all(writing);
    },
  };
}

function bytesOf(record: {
  readonly valueForm: { readonly case?: string | undefined; readonly value?: unknown };
}): Uint8Array {
  const { valueForm } = record;
  return valueForm.case === "value"
    ? (valueForm.value as Uint8Array)
    : new TextEncoder().encode(String(valueForm.value));
}

/** Reads at the tail from the beginning on, until `stop`; `jumps`: where an offset did not follow the one before it. */
function startReader() {
  const values = new Map<string, string>();
  const next = new Map<number, bigint>();
  const jumps: string[] = [];
  const abort = new AbortController();
  const read = async () => {
    for await (const { partition, records } of client.createConsumer({ topic, maxWaitMs: 100 }).batches(abort.signal)) {
      for (const { offset, value } of records) {
        const expected = next.get(partition) ?? 0n;
        if (offset !== expected) jumps.push(`${partition}: ${offset} after ${expected - 1n}`);
        next.set(partition, offset + 1n);
        values.set(`${partition}/${offset}`, new TextDecoder().decode(value ?? undefined));
      }
    }
  };
  const reading = read();
  return {
    values,
    jumps,
    async stop() {
      abort.abort();
      await reading;
    },
  };
}

describe("while leaders change", () => {
  it("what was acknowledged is read at once through any gateway, and a reader at the tail misses and repeats nothing", async () => {
    const writers = startWriters();
    const reader = startReader();
    const before = await electionsSoFar();
    for (let round = 0; (await electionsSoFar()) < before + elections; round++) {
      const id = 1 + (round % 3);
      await cluster.kill(`broker-${id}`);
      await waitFor("other leaders", async () =>
        (await describeTopic()).every(({ leader }) => leader !== id && leader !== undefined),
      );
      await cluster.start(`broker-${id}`);
      await waitFor("every replica to be in sync", async () =>
        (await describeTopic()).every(({ isr }) => isr.length === 3),
      );
      await patiently(() => admin().electLeaders({ type: ElectionType.PREFERRED, topic }));
    }
    await writers.stop();
    await waitFor("the reader to have everything", () =>
      writers.acked.every(({ partition, offset }) => reader.values.has(`${partition}/${offset}`)),
    );
    await reader.stop();
    expect(writers.missing).toEqual([]);
    expect(reader.jumps).toEqual([]);
    const changed = writers.acked.filter(
      ({ partition, offset, value }) => reader.values.get(`${partition}/${offset}`) !== value,
    );
    expect(changed).toEqual([]);
    expect(writers.acked.length).toBeGreaterThan(elections);
  }, 300_000);
});
