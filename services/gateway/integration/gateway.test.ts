import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32c, loadCodecs } from "@tidemark/compression";
import { AdminService, ElectionCause, type WatchEventsResponse } from "@tidemark/proto/admin/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { LogService } from "@tidemark/proto/log/v1";
import { encodeBatch } from "@tidemark/record";
import { createChannelPool, createRpcClient } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, runProgram, startDevCluster } from "@tidemark/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const here = dirname(fileURLToPath(import.meta.url));
const main = join(here, "..", "src", "main.ts");
const buf = join(here, "..", "..", "..", "node_modules", ".bin", "buf");
const pool = createChannelPool({ runtime: createNodeRuntime() });
let cluster: DevCluster;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 2, env: { TIDEMARK_DECOMPRESSION_RATIO_MAX: "20" } });
  await admin().createTopic({ topic: "orders", partitions: 4, replicationFactor: 1 });
});
afterAll(async () => {
  pool.close();
  await cluster.stop();
});

const gateway = () => pool.get(cluster.endpoint("gateway-1"), "produce");
const log = () => createRpcClient(LogService, gateway());
const admin = () => createRpcClient(AdminService, gateway());
const text = (value: string) => ({ valueForm: { case: "text", value } as const });

/** A call as plain curl makes it. */
async function post(method: string, body: object): Promise<{ readonly status: number; readonly body: unknown }> {
  const response = await fetch(`http://${cluster.endpoint("gateway-1")}/tidemark.log.v1.LogService/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

/** A batch whose records are some fifty times larger than it: more than this cluster is set to take, and less than by default. */
async function compressedFiftyfold(): Promise<Uint8Array> {
  const { gzip } = (await loadCodecs()).codecs;
  if (gzip === undefined) throw new Error("Node.js has gzip");
  const value = Buffer.concat([randomBytes(400), Buffer.alloc(24_000)]);
  const batch = encodeBatch([{ timestamp: 0n, key: null, value, headers: [] }], { crc32c, codec: gzip });
  expect(batch.length).toBeLessThan(value.length / 30);
  return batch;
}

/** The partitions of `orders` that a broker leads. */
async function ledBy(broker: number): Promise<number[]> {
  const { topics } = await admin().describeTopics({ topics: ["orders"] });
  return (topics[0]?.partitions ?? []).filter(({ leader }) => leader === broker).map(({ partition }) => partition);
}

describe("a gateway before brokers and a controller", () => {
  it("takes JSON by HTTP/1.1 and hands it out again, across all leaders", async () => {
    const values = ["one", "two", "three", "four", "five", "six"];
    const records = values.map((value) => ({ keyText: value, text: value }));
    expect(await post("Produce", { topic: "orders", records })).toMatchObject({ status: 200 });
    const fetched = await post("Fetch", { topic: "orders", format: "FORMAT_TEXT" });
    const { partitions } = fetched.body as { partitions: { records?: { keyText: string; text: string }[] }[] };
    const texts = partitions.flatMap(({ records: some = [] }) => some.map((record) => record.text));
    expect(texts.toSorted()).toEqual(values.toSorted());
  });

  it("goes on from `next`, pasted as it came", async () => {
    const first = await post("Fetch", { topic: "orders", format: "FORMAT_TEXT" });
    await post("Produce", { topic: "orders", records: [{ text: "more" }] });
    const { next } = first.body as { next: object };
    const second = await post("Fetch", { ...next, maxWaitMs: 10_000 });
    expect(JSON.stringify(second.body)).toContain('"more"');
  });

  it("answers a call by somebody else's client over gRPC and gRPC-Web", async () => {
    const url = `http://${cluster.endpoint("gateway-1")}/tidemark.log.v1.LogService/ListOffsets`;
    for (const protocol of ["grpc", "grpcweb", "connect"]) {
      const flags = ["curl", "--protocol", protocol, "--http2-prior-knowledge", "-d", '{"topic":"orders"}', url];
      const { code, stdout, stderr } = await runProgram(buf, flags);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect((JSON.parse(stdout.toString()) as { offsets: unknown[] }).offsets).toHaveLength(4);
    }
  });

  it("gives every bad request its reason", async () => {
    const failed = async (method: string, body: object) => {
      const answer = await post(method, body);
      const { details = [] } = answer.body as { details?: { debug: { reason: string } }[] };
      return [answer.status, details[0]?.debug.reason];
    };
    expect(await failed("Produce", { topic: "nope", records: [{ text: "x" }] })).toEqual([404, "REASON_UNKNOWN_TOPIC"]);
    expect(await failed("Fetch", { topic: "orders", partitions: [{ partition: 9 }] })).toEqual([
      404,
      "REASON_UNKNOWN_PARTITION",
    ]);
    expect(await failed("Fetch", { topic: "orders", partitions: [{ partition: 0, offset: "99999" }] })).toEqual([
      400,
      "REASON_OFFSET_OUT_OF_RANGE",
    ]);
    const batches = Buffer.alloc(70, 1).toString("base64");
    const bomb = {
      topic: "orders",
      partition: 0,
      batches: Buffer.from(await compressedFiftyfold()).toString("base64"),
    };
    expect(await failed("Produce", bomb)).toEqual([400, "REASON_CORRUPT_BATCH"]);
    expect(JSON.stringify((await post("Produce", bomb)).body)).toContain(
      "20 times what came (decompression.ratio.max)",
    );
    expect(await failed("Produce", { topic: "orders", partition: 0, batches })).toEqual([400, "REASON_CORRUPT_BATCH"]);
    await expect(admin().createTopic({ topic: "orders" })).rejects.toMatchObject({ reason: Reason.TOPIC_EXISTS });
    await expect(admin().createTopic({ topic: "no way" })).rejects.toMatchObject({
      reason: Reason.INVALID_TOPIC_NAME,
      outcome: Outcome.NOT_APPLIED,
    });
  });

  it("hands on what happens in the cluster as it happens", async () => {
    const over = new AbortController();
    const seen: WatchEventsResponse[] = [];
    const watching = (async () => {
      for await (const event of admin().watchEvents({}, { signal: over.signal })) seen.push(event);
    })().catch((error: unknown) => error);
    // A watch shows what comes after it began, and does not say when that was.
    for (let made = 0; seen.length === 0; made++)
      await admin().createTopic({ topic: `watched-${made}`, partitions: 1 });
    over.abort();
    expect(await watching).toMatchObject({ reason: Reason.CANCELLED });
    expect(seen[0]?.event).toMatchObject({
      case: "election",
      value: {
        topic: expect.stringMatching(/^watched-/) as string,
        cause: ElectionCause.TOPIC_CREATED,
        newLeader: expect.any(Number) as number,
      },
    });
    const { elections } = await admin().describeElections({ limit: 1 });
    expect(elections).toMatchObject([{ cause: ElectionCause.TOPIC_CREATED }]);
  });

  it("50: stores what comes while a broker is down as soon as that is back", async () => {
    const [partition = 0] = await ledBy(1);
    await cluster.kill("broker-1");
    const waiting = log().produce({ topic: "orders", partition, records: [text("patient")] }, { timeoutMs: 60_000 });
    const others = await ledBy(2);
    await log().produce({ topic: "orders", partition: others[0] ?? 0, records: [text("at once")] });
    await cluster.start("broker-1");
    const { results } = await waiting;
    expect(results).toMatchObject([{ partition, records: 1 }]);
  });

  it("serves on without a controller, and knows its changes when that is back", async () => {
    await cluster.kill("controller-1");
    await log().produce({ topic: "orders", records: [text("alone")] });
    await cluster.start("controller-1");
    await admin().createTopic({ topic: "later", partitions: 2, replicationFactor: 1 });
    await log().produce({ topic: "later", records: [text("known")] });
  });

  it("holds nothing that is lost when it is killed", async () => {
    await log().produce({ topic: "later", partition: 0, records: [text("kept")] });
    await cluster.kill("gateway-1");
    await cluster.start("gateway-1");
    expect(JSON.stringify((await post("Fetch", { topic: "later", format: "FORMAT_TEXT" })).body)).toContain('"kept"');
  });
});

describe("a gateway that cannot start", () => {
  const startWith = async (settings: Record<string, string>) => {
    const folder = mkdtempSync(join(tmpdir(), "tidemark-gateway-"));
    const file = join(folder, "gateway.yaml");
    const lines = Object.entries({
      "controller.endpoints": cluster.endpoint("controller-1", "internal"),
      listeners: "client://127.0.0.1:0",
      ...settings,
    }).map(([key, value]) => `${key}: ${value}`);
    writeFileSync(file, `${lines.join("\n")}\n`);
    try {
      const { code, stdout, stderr } = await runProgram(process.execPath, [main, "--config", file]);
      return { code, stdout: stdout.toString(), last: stderr.trimEnd().split("\n").at(-1) };
    } finally {
      rmSync(folder, { recursive: true });
    }
  };

  it("says that its port is taken, and by which setting", async () => {
    const taken = cluster.endpoint("gateway-1");
    const { code, stdout, last } = await startWith({ listeners: `client://${taken}` });
    expect(code).not.toBe(0);
    expect(stdout).toBe("");
    expect(last).toContain(`"client" cannot bind ${taken}`);
  });

  it("says that the controller is of another cluster", async () => {
    const { code, stdout, last } = await startWith({ "cluster.id": "another" });
    expect(code).not.toBe(0);
    expect(stdout).toBe("");
    expect(last).toContain("cluster.id is another");
  });
});
