/** Producers whose answers are lost between real processes: what was stored is sent again. */
import { type Client, createClient, type RecordOutcome } from "@tidemark/client";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { createTcpProxy, type TcpProxy } from "@tidemark/testkit/tcp-proxy";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

/** Times that everything on its way loses its answer. */
const losses = 3;
const recordsEach = 40;

let cluster: DevCluster;
/** Reaches the cluster without a proxy. */
let direct: Client;
const cleanups: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 1 });
  direct = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
});

afterAll(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  direct.close();
  await cluster.stop();
});

async function startProxy(name: string): Promise<TcpProxy> {
  const [, port = ""] = cluster.endpoint(name).split(":");
  const proxy = await createTcpProxy({ target: { port: Number(port) } });
  cleanups.push(() => proxy.close());
  return proxy;
}

async function endOf(topic: string): Promise<number> {
  const { logs } = await direct.log.describeLog({ topic });
  return Number(logs[0]?.highWatermark ?? -1n);
}

/** Sends records while answers are swallowed, breaks the connections, and lets the producer go on. */
async function sendWithoutAnswers(topic: string, proxy: TcpProxy, idempotence: boolean): Promise<RecordOutcome[]> {
  const client = await createClient({ bootstrap: `${proxy.host}:${proxy.port}`, routing: "bootstrap" });
  const producer = client.createProducer({ idempotence, batchBytesMax: 100 });
  await producer.send(topic, { value: valueOf(0), partition: 0 });
  const outcomes: RecordOutcome[] = [];
  let number = 1;
  for (let loss = 0; loss < losses; loss++) {
    const before = await endOf(topic);
    proxy.forward("toClient", "drop");
    const sent = Array.from({ length: recordsEach }, () =>
      producer.send(topic, { value: valueOf(number++), partition: 0 }),
    );
    // Without a producer id one batch is on its way at a time: it alone is stored unheard.
    await waitFor("what was sent to be stored", async () => (await endOf(topic)) > before);
    proxy.reset();
    proxy.forward("toClient", "pass");
    outcomes.push(...(await Promise.all(sent)));
  }
  await producer.close();
  client.close();
  return outcomes;
}

function valueOf(number: number): Uint8Array {
  return new TextEncoder().encode(`${number} ${"x".repeat(50)}`);
}

/** The numbers of the records, in the order of their offsets. */
async function readNumbers(topic: string): Promise<number[]> {
  const found: number[] = [];
  for await (const { records } of direct.createConsumer({ topic, untilEnd: true }).batches()) {
    for (const { value } of records) found.push(Number.parseInt(new TextDecoder().decode(value ?? undefined), 10));
  }
  return found;
}

const numbers = Array.from({ length: 1 + losses * recordsEach }, (_, number) => number);

describe("answers that are lost (43)", () => {
  test.each(["gateway-1", "broker-1"])("by %s leave one copy of each record, in order", async (name) => {
    const topic = `once-${name}`;
    await direct.admin.createTopic({ topic, partitions: 1, replicationFactor: 1 });
    const outcomes = await sendWithoutAnswers(topic, await startProxy(name), true);
    expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(["acknowledged"]));
    expect(await readNumbers(topic)).toEqual(numbers);
  });

  test("leave two copies of some where the producer is not idempotent", async () => {
    const topic = "each-time";
    await direct.admin.createTopic({ topic, partitions: 1, replicationFactor: 1 });
    await sendWithoutAnswers(topic, await startProxy("gateway-1"), false);
    const found = await readNumbers(topic);
    expect(new Set(found)).toEqual(new Set(numbers));
    expect(found.length).toBeGreaterThan(numbers.length);
  });
});
