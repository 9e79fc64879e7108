/** Two gateways behind one address, as a balancer of connections stands before them, and every kind of client that goes through it. */
import { createClient } from "@tidemark/client";
import { AdminService } from "@tidemark/proto/admin/v1";
import { Format, LogService } from "@tidemark/proto/log/v1";
import { createChannelPool, createRpcClient, TidemarkError } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { createTcpBalancer, type TcpBalancer } from "@tidemark/testkit/tcp-balancer";
import { afterAll, beforeAll, expect, it } from "vitest";

const topic = "t";
const pool = createChannelPool({ runtime: createNodeRuntime() });
let cluster: DevCluster;
let balancer: TcpBalancer;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 1, gateways: 2 });
  const ports = ["gateway-1", "gateway-2"].map((name) => Number(cluster.endpoint(name).split(":").at(-1)));
  balancer = await createTcpBalancer(ports);
  await createRpcClient(AdminService, pool.get(balancer.endpoint, "admin")).createTopic({ topic, partitions: 1 });
});
afterAll(async () => {
  pool.close();
  await balancer.close();
  await cluster.stop();
});

/** Reads until it is told to stop, and says what it read. */
interface Reader {
  readonly values: string[];
  stop(): Promise<void>;
}

/** A reader whose `read` ends with an error now and then, and goes on where the last one was. */
function keepReading(read: (values: string[], signal: AbortSignal) => Promise<void>): Reader {
  const over = new AbortController();
  const values: string[] = [];
  const reading = (async () => {
    for (const { signal } = over; !signal.aborted; ) {
      await read(values, signal).catch((error: unknown) => {
        if (!signal.aborted && !passes(error)) throw error;
      });
    }
  })();
  // Whoever stops it is told of its failure.
  reading.catch(() => undefined);
  return {
    values,
    stop() {
      over.abort();
      return reading;
    },
  };
}

/** Of HTTP, whatever breaks on the way is a TypeError. */
function passes(error: unknown): boolean {
  return error instanceof TypeError || (error instanceof TidemarkError && error.retriable);
}

/** A subscription that is made anew at the offset behind what came. */
function subscribe(): Reader {
  let offset = 0n;
  const log = createRpcClient(LogService, pool.get(balancer.endpoint, "fetch"));
  return keepReading(async (values, signal) => {
    const start = { case: "offset", value: offset } as const;
    const request = { topic, format: Format.TEXT, partitions: [{ partition: 0, start }] };
    for await (const { frame } of log.subscribe(request, { signal })) {
      if (frame.case !== "data") continue;
      for (const { valueForm } of frame.value.records) if (valueForm.case === "text") values.push(valueForm.value);
      offset = frame.value.nextOffset;
    }
  });
}

interface FetchedJson {
  readonly partitions: readonly { readonly records?: readonly { readonly text: string }[] }[];
  readonly next: object;
}

/** Long polls in JSON, each of which pastes the `next` of the one before. A connection for each, as curl has. */
function poll(): Reader {
  let next: object = { topic, format: "TEXT" };
  return keepReading(async (values, signal) => {
    const response = await fetch(`http://${balancer.endpoint}/tidemark.log.v1.LogService/Fetch`, {
      method: "POST",
      headers: { "content-type": "application/json", connection: "close" },
      body: JSON.stringify({ ...next, maxWaitMs: 500 }),
      signal,
    });
    // A gateway that stops says so.
    if (response.status === 503) return;
    expect(response.status).toBe(200);
    const answer = (await response.json()) as FetchedJson;
    for (const { records = [] } of answer.partitions) for (const { text } of records) values.push(text);
    next = answer.next;
  });
}

it("lose nothing and change no order while they are killed, started again and stopped, whoever is connected", async () => {
  const client = await createClient({ bootstrap: balancer.endpoint, routing: "bootstrap" });
  const producer = client.createProducer({ batchBytesMax: 512 });
  // The SDK's consumer goes on by itself. One that had to begin anew would have its first records twice.
  const consume = async (values: string[], signal: AbortSignal) => {
    for await (const { value } of client.createConsumer({ topic }).records(signal)) {
      values.push(new TextDecoder().decode(value ?? undefined));
    }
  };
  const readers = { sdk: keepReading(consume), subscription: subscribe(), longPolls: poll() };

  let given = 0;
  const kinds = new Set<string>();
  const produceRound = async () => {
    const round = Array.from({ length: 20 }, () => producer.send(topic, { value: `${given++}`, partition: 0 }));
    for (const { kind } of await Promise.all(round)) kinds.add(kind);
  };
  /** Until everybody has read what was given after the fault too. */
  const goOn = async (what: string) => {
    const from = given;
    await waitFor(`everybody to read on after: ${what}`, async () => {
      await produceRound();
      return Object.values(readers).every(({ values }) => values.length > from);
    });
  };

  await goOn("the start");
  await cluster.kill("gateway-1");
  await goOn("a gateway was killed");
  await cluster.start("gateway-1");
  cluster.signal("gateway-2", "SIGTERM");
  await goOn("the other one is told to stop");
  await waitFor("it to be gone", () => cluster.process("gateway-2").state === "failed");
  await cluster.start("gateway-2");
  balancer.cut();
  await goOn("all connections were cut");

  const all = Array.from({ length: given }, (_, index) => `${index}`);
  for (const [name, { values }] of Object.entries(readers)) {
    await waitFor(`all of it at ${name}`, () => values.length >= given);
  }
  await Promise.all(Object.values(readers).map((reader) => reader.stop()));
  await producer.close();
  client.close();
  expect([...kinds]).toEqual(["acknowledged"]);
  for (const { values } of Object.values(readers)) expect(values).toEqual(all);
  expect(balancer.given.every((count) => count > 0)).toBe(true);
});
