import { readFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { createClient } from "@tidemark/client";
import { Format, LogService, type SubscribeResponse } from "@tidemark/proto/log/v1";
import { type ChannelPool, createChannelPool, createRpcClient, openRawStream } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";

const mebibyte = 2 ** 20;
const topicBytes = 32 * mebibyte;
const recordBytes = 64 * 1024;
/** Of each kind. Together they would make a process hold twelve times the topic, if it held what they do not read. */
const stoppedReaders = 6;
/** What a process may grow by meanwhile: buffers that it reuses, and what its heap leaves to be collected. */
const growthMax = 256 * mebibyte;

const runtime = createNodeRuntime();
const pools: ChannelPool[] = [];
const web: IncomingMessage[] = [];
let cluster: DevCluster;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 1 });
});

afterAll(async () => {
  for (const response of web) response.destroy();
  for (const pool of pools) pool.close();
  await cluster.stop();
});

const gateway = () => cluster.endpoint("gateway-1");

/** A connection of its own, as another client has. */
function connect() {
  const pool = createChannelPool({ runtime });
  pools.push(pool);
  return pool.get(gateway(), "fetch");
}

/** Bytes of memory that a process has, by its name in the cluster. */
function memoryOf(name: string): number {
  const status = readFileSync(`/proc/${cluster.process(name).pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

async function fill(topic: string): Promise<bigint> {
  const client = await createClient({ bootstrap: gateway() });
  await client.admin.createTopic({ topic, partitions: 1 });
  const producer = client.createProducer();
  const value = Buffer.alloc(recordBytes, "x");
  const count = topicBytes / recordBytes;
  await Promise.all(Array.from({ length: count }, () => producer.send(topic, { value, partition: 0 })));
  await producer.close();
  client.close();
  return BigInt(count);
}

/** Follows by gRPC and stops when it has the first records. */
function stopAfterTheFirst(topic: string) {
  const reader: { next: bigint; resume: () => void } = { next: 0n, resume: () => undefined };
  const onMessage = ({ frame }: SubscribeResponse) => {
    if (frame.case !== "data") return;
    if (reader.next === 0n) stream.pause();
    reader.next = frame.value.nextOffset;
  };
  const stream = openRawStream(connect(), LogService.method.subscribe, () => ({ onMessage }));
  reader.resume = stream.resume;
  stream.write({ topic, format: Format.BATCHES });
  stream.end();
  return reader;
}

/** Follows by Connect over HTTP/1.1, and reads nothing of the answer. */
async function followAndReadNothing(topic: string): Promise<void> {
  const json = Buffer.from(JSON.stringify({ topic }));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(json.length, 1);
  const [host, port] = gateway().split(":");
  const path = "/tidemark.log.v1.LogService/Subscribe";
  const headers = { "content-type": "application/connect+json" };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const asked = httpRequest({ host, port, path, method: "POST", headers, agent: false }, resolve);
    asked.on("error", reject);
    asked.end(Buffer.concat([head, json]));
  });
  expect(response.statusCode).toBe(200);
  response.pause();
  response.on("error", () => undefined);
  web.push(response);
}

async function readAll(topic: string, end: bigint): Promise<void> {
  for await (const { frame } of createRpcClient(LogService, connect()).subscribe({ topic, format: Format.BATCHES })) {
    if (frame.case === "data" && frame.value.nextOffset === end) return;
  }
}

it("readers that stop cost the gateway and the broker no memory, others read on, and one goes on where it stopped (46)", async () => {
  const end = await fill("big");
  const names = ["gateway-1", "broker-1"];
  // What the processes need to hand out the topic once belongs to the beginning.
  await readAll("big", end);
  const before = names.map(memoryOf);

  const stopped = Array.from({ length: stoppedReaders }, () => stopAfterTheFirst("big"));
  await Promise.all(stopped.map(() => followAndReadNothing("big")));
  await waitFor("every reader to have begun", () => stopped.every(({ next }) => next > 0n));
  await readAll("big", end);

  const growth = names.map((name, index) => memoryOf(name) - (before[index] ?? 0));
  for (const each of growth) expect(each).toBeLessThan(growthMax);
  expect(stopped.every(({ next }) => next < end)).toBe(true);

  const [first] = stopped;
  first?.resume();
  await waitFor("one that stopped to have everything", () => first?.next === end);
});
