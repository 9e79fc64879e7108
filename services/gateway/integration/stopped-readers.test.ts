import { readFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { createClient } from "@tidemark/client";
import { Format, LogService, type SubscribeResponse } from "@tidemark/proto/log/v1";
import { iterateBatches } from "@tidemark/record";
import { type ChannelPool, createChannelPool, createRpcClient, openRawStream } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";

const mebibyte = 2 ** 20;
const topicBytes = 32 * mebibyte;
const recordBytes = 64 * 1024;
/** Of each kind. Together they would make a process hold twelve times the topic, if it held what they do not read. */
const ofEachKind = 6;
const stoppedReaders = 2 * ofEachKind;
/** What may wait to be sent for one that stopped: the high water of its stream, and the message that went beyond it. */
const queuedPerReader = 1.5 * mebibyte;
/** With what its leader sent ahead, up to a mebibyte and a message. */
const heldPerReader = 3 * mebibyte;
/** What a process may grow by besides: what its heap leaves to be collected at the moment. */
const leftToCollect = 64 * mebibyte;
/** How long they stand still while others read, round after round. Two rounds at least. */
const stoppedMs = Number(process.env["TIDEMARK_TEST_STOPPED_MS"] ?? 0);

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

/** Bytes of memory that a process has, and bytes that it counts as queued, by its name in the cluster. */
async function memoryOf(name: string): Promise<{ readonly resident: number; readonly queued: number }> {
  const status = readFileSync(`/proc/${cluster.process(name).pid}/status`, "utf8");
  const metrics = await (await fetch(`http://${cluster.endpoint(name, "metrics")}/metrics`)).text();
  return {
    resident: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024,
    queued: Number(/^tidemark_queued_bytes(?:\{.*\})? (\d+)$/m.exec(metrics)?.[1]),
  };
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

/** Takes batches as they come and says where the next one is to begin: what leaves out a record is not read further. */
function createOffsetCheck() {
  let next = 0n;
  return {
    next: () => next,
    take({ frame }: SubscribeResponse) {
      if (frame.case !== "data") return;
      for (const step of iterateBatches(frame.value.batches)) {
        if (step.kind !== "ok") continue;
        if (step.header.baseOffset !== next) throw new Error(`${next} is left out`);
        next += BigInt(step.header.recordCount);
      }
    },
  };
}

/** Follows by gRPC and stops when it has the first records. */
function stopAfterTheFirst(topic: string) {
  const check = createOffsetCheck();
  const onMessage = (message: SubscribeResponse) => {
    const isFirst = check.next() === 0n;
    check.take(message);
    if (isFirst && check.next() > 0n) stream.pause();
  };
  const stream = openRawStream(connect(), LogService.method.subscribe, () => ({ onMessage }));
  stream.write({ topic, format: Format.BATCHES });
  stream.end();
  return { next: check.next, resume: stream.resume };
}

/** Follows by Connect over HTTP/1.1. Nothing of the answer is read yet. */
async function followByConnect(topic: string, creditRecords: number): Promise<IncomingMessage> {
  const json = Buffer.from(JSON.stringify({ topic, creditRecords }));
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
  response.on("error", () => undefined);
  web.push(response);
  return response;
}

/** By gRPC, each record once and in order. */
async function readAll(topic: string, end: bigint): Promise<void> {
  const check = createOffsetCheck();
  for await (const message of createRpcClient(LogService, connect()).subscribe({ topic, format: Format.BATCHES })) {
    check.take(message);
    if (check.next() === end) return;
  }
}

/** By Connect, to the end of its credit, which ends the answer: values in base64. */
async function readByConnect(topic: string): Promise<void> {
  const records = 64;
  let bytes = 0;
  for await (const piece of await followByConnect(topic, records)) bytes += (piece as Buffer).length;
  expect(bytes).toBeGreaterThan((records * recordBytes * 4) / 3);
}

/** So many of each kind at the same time. */
async function readByAll(topic: string, end: bigint, count: number): Promise<void> {
  const each = Array.from({ length: count }, () => [readAll(topic, end), readByConnect(topic)]);
  await Promise.all(each.flat());
}

const testTimeoutMs = stoppedMs + 300_000;

it(
  "readers that stop cost the gateway and the broker what their streams may queue, others read on, and one goes on where it stopped (46)",
  async () => {
    const end = await fill("big");
    const names = ["gateway-1", "broker-1"];
    // The heap that the processes need for so many who read belongs to the beginning.
    await readByAll("big", end, ofEachKind);
    const before = await Promise.all(names.map(memoryOf));

    const stopped = Array.from({ length: ofEachKind }, () => stopAfterTheFirst("big"));
    const silent = await Promise.all(stopped.map(() => followByConnect("big", 0)));
    for (const response of silent) response.pause();
    await waitFor("every reader to have begun", () => stopped.every(({ next }) => next() > 0n));

    const { clock } = runtime;
    const untilMs = clock.monotonicMs() + stoppedMs;
    for (let round = 0; round < 2 || clock.monotonicMs() < untilMs; round++) {
      await readByAll("big", end, 1);
      for (const [index, name] of names.entries()) {
        const { resident, queued } = await memoryOf(name);
        expect(queued).toBeLessThan(stoppedReaders * queuedPerReader);
        const growth = resident - (before[index]?.resident ?? 0);
        expect(growth).toBeLessThan(stoppedReaders * heldPerReader + leftToCollect);
      }
    }
    expect((await memoryOf("gateway-1")).queued).toBeGreaterThan(0);
    expect(stopped.every(({ next }) => next() < end)).toBe(true);

    const [first] = stopped;
    first?.resume();
    await waitFor("one that stopped to have everything", () => first?.next() === end);
  },
  testTimeoutMs,
);
