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

/** Everything of one trace but the advance of the high watermark, which may come before an ack that does not wait for it. */
function ofTrace(spans: readonly ReceivedSpan[], traceId: string): readonly ReceivedSpan[] {
  return spans.filter((span) => span.traceId === traceId && span.name !== "high watermark advance");
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

  const all = await waitForSpans(store, "both followers", (spans) => {
    const ended = ofTrace(spans, traceId).filter(({ name }) => name === "replicate");
    return ended.length === 2 && ofTrace(spans, traceId).filter(({ name }) => name === "flush").length >= 2;
  });

  const fetches = new Set(ofTrace(all, traceId).flatMap(({ links }) => links.map(({ spanId }) => spanId)));
  const drawn = [...ofTrace(all, traceId), ...all.filter(({ spanId }) => fetches.has(spanId))];
  const ownWrite = acks === Acks.LEADER ? "\n    append @broker\n    flush @broker" : "";
  const replicate = `
          replicate @broker -> replica fetch @broker
            replica receive @broker -> replica fetch @broker
              append @broker
              flush @broker`;
  const trace = drawing(`
      gateway route @gateway
        broker produce @broker
          ack @broker${replicate.repeat(2)}`);
  expect([...drawTraces(drawn)]).toEqual([
    [`(called) ${trace.replace("ack @broker", `ack @broker${ownWrite}`)}`, 1],
    ["replica fetch @broker", 2],
  ]);

  const byId = new Map(all.map((span) => [span.spanId, span]));
  const answered = drawn.find(({ name }) => name === "broker produce");
  const late = drawn.filter(({ name, endNanos }) => name === "replicate" && endNanos > (answered?.endNanos ?? 0n));
  expect(late.map(({ attributes }) => `broker-${Number(attributes["tidemark.follower"])}`)).toContain(follower);
  for (const receive of ofTrace(all, traceId).filter(({ name }) => name === "replica receive")) {
    const replicateSpan = byId.get(receive.parentSpanId ?? "");
    const serviceClockNanos = 200_000n;
    expect(replicateSpan?.endNanos).toBeGreaterThan(receive.endNanos - serviceClockNanos);
  }
});
