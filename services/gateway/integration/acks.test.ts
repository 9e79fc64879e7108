/** What followers do for a record that nobody waits for them with is told all the same, and outlasts its produce. */
import { AdminService } from "@tidemark/proto/admin/v1";
import { Acks, LogService } from "@tidemark/proto/log/v1";
import { createChannelPool, createRpcClient } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, type ReceivedSpan, startDevCluster, waitFor } from "@tidemark/testkit";
import { createReceiverStore, drawing, drawTraces, type SpanStore, waitForSpans } from "@tidemark/testkit/traces";
import { afterAll, beforeAll, expect, test } from "vitest";

const topic = "acks";

let store: SpanStore;
let cluster: DevCluster;
const pool = createChannelPool({ runtime: createNodeRuntime() });

const admin = () => createRpcClient(AdminService, pool.get(cluster.endpoint("gateway-1"), "admin"));
const partition = async () => (await admin().describeTopics({ topics: [topic] })).topics[0]?.partitions[0];

beforeAll(async () => {
  store = await createReceiverStore();
  const env = { ...store.environment, OTEL_TRACES_SAMPLER: "parentbased_always_off" };
  cluster = await startDevCluster({ brokers: 3, env });
  await admin().createTopic({ topic, partitions: 1, replicationFactor: 3 });
  await waitFor("three in sync", async () => (await partition())?.isr.length === 3);
  await waitFor("a leader that leads", async () => (await produce({ acks: Acks.ALL })) === undefined);
});

afterAll(async () => {
  pool.close();
  await cluster.stop();
  await store.close();
});

/** Returns the error of the record, if it has one. */
async function produce(of: { readonly acks: Acks; readonly traceId?: string }): Promise<unknown> {
  const log = createRpcClient(LogService, pool.get(cluster.endpoint("gateway-1"), "produce"));
  const records = [{ valueForm: { case: "text", value: "a record" } } as const];
  const headers = of.traceId === undefined ? {} : { traceparent: `00-${of.traceId}-00f067aa0ba902b7-01` };
  const { results } = await log.produce({ topic, partition: 0, acks: of.acks, records }, headers);
  return results[0]?.error;
}

/**
 * Of one trace, and the followers' fetches that it links to. Without the advance of the high watermark, which may come before
 * an ack that does not wait for it.
 */
function spansOf(all: readonly ReceivedSpan[], traceId: string) {
  const trace = all.filter((span) => span.traceId === traceId && span.name !== "high watermark advance");
  const linked = new Set(trace.flatMap(({ links }) => links.map(({ spanId }) => spanId)));
  return { trace, fetches: all.filter(({ spanId }) => linked.has(spanId)) };
}

test.each([
  { level: "leader", acks: Acks.LEADER, traceId: "1".repeat(32) },
  // Answered before anything is written, of which the answer can tell nothing.
  { level: "none", acks: Acks.NONE, traceId: "2".repeat(32) },
])("acks=$level: a follower that does nothing until its leader has answered", async ({ acks, traceId }) => {
  const state = await partition();
  const follower = `broker-${state?.isr.find((member) => member !== state.leader)}`;
  cluster.signal(follower, "SIGSTOP");
  try {
    expect(await produce({ acks, traceId })).toBeUndefined();
  } finally {
    cluster.signal(follower, "SIGCONT");
  }

  // What each process has to tell of it comes when that pleases.
  const count = acks === Acks.LEADER ? 13 : 11;
  const all = await waitForSpans(store, "every span", (spans) => {
    const { trace, fetches } = spansOf(spans, traceId);
    return trace.length >= count && fetches.length >= 2;
  });

  const { trace: spans, fetches } = spansOf(all, traceId);
  const ownWrite = acks === Acks.LEADER ? "\n    append @broker\n    flush @broker" : "";
  const replicate = `
          replicate @broker -> replica fetch @broker
            replica receive @broker -> replica fetch @broker
              append @broker
              flush @broker`;
  const drawn = drawing(`
      gateway route @gateway
        broker produce @broker
          ack @broker${replicate.repeat(2)}`);
  expect([...drawTraces([...spans, ...fetches])]).toEqual([
    [`(called) ${drawn.replace("ack @broker", `ack @broker${ownWrite}`)}`, 1],
    ["replica fetch @broker", 2],
  ]);

  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const answered = spans.find(({ name }) => name === "broker produce");
  const late = spans.filter(({ name, endNanos }) => name === "replicate" && endNanos > (answered?.endNanos ?? 0n));
  expect(late.map(({ attributes }) => `broker-${Number(attributes["tidemark.follower"])}`)).toContain(follower);
  for (const receive of spans.filter(({ name }) => name === "replica receive")) {
    const replicateSpan = byId.get(receive.parentSpanId ?? "");
    const serviceClockNanos = 200_000n;
    expect(replicateSpan?.endNanos).toBeGreaterThan(receive.endNanos - serviceClockNanos);
  }
});
