import { Reason } from "@tidemark/proto/common/v1";
import { LogService } from "@tidemark/proto/log/v1";
import { createNodeRuntime } from "@tidemark/runtime";
import { afterEach, expect, it } from "vitest";
import { createChannel, createRpcClient, createRpcServer, serve } from "./index.ts";

const runtime = createNodeRuntime();
const cleanups: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

it("serves every kind of method to a client", async () => {
  const log = serve(LogService, {
    listOffsets: () => ({ offsets: [{ partition: 3, offset: 7n }] }),
    async *subscribe() {
      for (let partition = 0; partition < 1000; partition++) yield { frame: { case: "data", value: { partition } } };
    },
    async *produceStream(requests) {
      for await (const { sequence } of requests) yield { results: [{ sequence }] };
    },
  });
  const server = createRpcServer({ runtime, listeners: { client: { port: 0, services: [log] } } });
  const { client } = await server.start();
  cleanups.push(() => server.stop(0));
  const channel = createChannel(`127.0.0.1:${client!.port}`, { trafficClass: "admin", runtime });
  cleanups.push(() => channel.close());
  const caller = createRpcClient(LogService, channel);

  expect((await caller.listOffsets({ topic: "t" })).offsets[0]!.offset).toBe(7n);
  const partitions = [];
  for await (const { frame } of caller.subscribe({ topic: "t" })) {
    if (frame.case === "data") partitions.push(frame.value.partition);
  }
  expect(partitions).toEqual(Array.from({ length: 1000 }, (_, index) => index));
  const sequences = [];
  async function* requests() {
    for (let sequence = 0n; sequence < 1000n; sequence++) yield { sequence };
  }
  for await (const { results } of caller.produceStream(requests())) sequences.push(results[0]!.sequence);
  expect(sequences).toEqual(Array.from({ length: 1000 }, (_, index) => BigInt(index)));
  await expect(caller.fetch({ topic: "t" })).rejects.toMatchObject({ reason: Reason.UNSUPPORTED });
});
