import { AdminService } from "@tidemark/proto/admin/v1";
import { Acks, Format, LogService, type SubscribeResponse } from "@tidemark/proto/log/v1";
import { createChannelPool, createRpcClient, TidemarkError } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";

const pool = createChannelPool({ runtime: createNodeRuntime() });
let cluster: DevCluster;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 3, gateways: 2 });
  await createRpcClient(AdminService, gateway(1)).createTopic({ topic: "t", partitions: 1 });
});
afterAll(async () => {
  pool.close();
  await cluster.stop();
});

const gateway = (id: number) => pool.get(cluster.endpoint(`gateway-${id}`), "produce");

/** Stores a text by the second gateway, again and again until it is stored once. */
async function produce(value: string): Promise<void> {
  const log = createRpcClient(LogService, gateway(2));
  await waitFor(`${value} to be stored`, async () => {
    try {
      await log.produce({ topic: "t", acks: Acks.ALL, records: [{ valueForm: { case: "text", value } }] });
      return true;
    } catch (error) {
      if (error instanceof TidemarkError && error.retriable) return false;
      throw error;
    }
  });
}

/** What a reader has, and where it stands: all that it needs to go on at another gateway. */
interface Reader {
  readonly values: string[];
  readonly frames: string[];
  offset: bigint;
  failure: unknown;
}

function read({ frame }: SubscribeResponse, reader: Reader): void {
  reader.frames.push(frame.case ?? "none");
  if (frame.case !== "data") return;
  reader.offset = frame.value.nextOffset;
  for (const { valueForm } of frame.value.records) {
    if (valueForm.case === "text") reader.values.push(valueForm.value);
  }
}

function follow(id: number, from: bigint): Reader {
  const reader: Reader = { values: [], frames: [], offset: from, failure: undefined };
  const frames = createRpcClient(LogService, gateway(id)).subscribe({
    topic: "t",
    format: Format.TEXT,
    partitions: [{ partition: 0, start: { case: "offset", value: from } }],
  });
  (async () => {
    for await (const frame of frames) read(frame, reader);
  })().catch((error: unknown) => {
    reader.failure = error;
  });
  return reader;
}

it("a subscription goes on when its leader is killed, and at another gateway when its gateway is", async () => {
  await produce("a");
  const first = follow(1, 0n);
  await waitFor("the first record", () => first.values.includes("a"));
  const { topics } = await createRpcClient(AdminService, gateway(1)).describeTopics({ topics: ["t"] });
  await cluster.kill(`broker-${topics[0]?.partitions[0]?.leader}`);
  await produce("b");
  await waitFor("the record of the next leader", () => first.values.includes("b"));
  expect(first.values).toEqual(["a", "b"]);
  expect(first.frames).toContain("leaderChanged");

  await cluster.kill("gateway-1");
  await waitFor("the subscription to end", () => first.failure !== undefined);
  await produce("c");
  const second = follow(2, first.offset);
  await waitFor("the record behind", () => second.values.includes("c"));
  expect([...first.values, ...second.values]).toEqual(["a", "b", "c"]);
});
