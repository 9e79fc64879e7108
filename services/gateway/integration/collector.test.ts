/** Whatever becomes of spans, records are taken and given. */
import { AdminService } from "@tidemark/proto/admin/v1";
import { Format, LogService } from "@tidemark/proto/log/v1";
import { createChannelPool, createRpcClient } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { createOtlpReceiver, type DevCluster, type OtlpReceiver, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";

const topic = "kept";
const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;

let receiver: OtlpReceiver;
let cluster: DevCluster;
const pool = createChannelPool({ runtime: createNodeRuntime() });

beforeAll(async () => {
  receiver = await createOtlpReceiver();
  cluster = await startDevCluster({
    brokers: 1,
    env: {
      OTEL_TRACES_EXPORTER: "otlp",
      OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.grpcUrl,
      OTEL_EXPORTER_OTLP_TIMEOUT: "500",
      OTEL_TRACES_SAMPLER: "parentbased_always_off",
      OTEL_BSP_SCHEDULE_DELAY: "20",
      OTEL_BSP_MAX_QUEUE_SIZE: "16",
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "16",
    },
  });
  const admin = createRpcClient(AdminService, pool.get(cluster.endpoint("gateway-1"), "admin"));
  await admin.createTopic({ topic, partitions: 1, replicationFactor: 1 });
});

afterAll(async () => {
  pool.close();
  await cluster.stop();
  await receiver.close();
});

const log = () => createRpcClient(LogService, pool.get(cluster.endpoint("gateway-1"), "produce"));

async function produce(text: string, trace: string): Promise<void> {
  const { results } = await log().produce(
    { topic, records: [{ valueForm: { case: "text", value: text } }] },
    { traceparent: trace },
  );
  expect(results.map(({ error }) => error)).toEqual([undefined]);
}

async function texts(): Promise<readonly string[]> {
  const { partitions } = await log().fetch({ topic, format: Format.TEXT });
  return partitions.flatMap(({ records }) => records.map(({ valueForm }) => valueForm.value as string));
}

/** Spans that never arrived, of all processes and for this reason. */
async function lost(reason: string): Promise<number> {
  const counts = cluster.processes().map(async ({ endpoints }) => {
    const text = await (await fetch(`http://${endpoints.metrics ?? ""}/metrics`)).text();
    return Number(new RegExp(`^tidemark_lost_spans_total\\{reason="${reason}"\\} (\\d+)$`, "m").exec(text)?.[1]);
  });
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

test("a collector that refuses, is full, hangs or is gone costs spans, each counted, and no record", async () => {
  const sent: string[] = [];
  const produceTraced = async (mood: string) => {
    for (let n = 0; n < 20; n++) {
      sent.push(`${mood} ${n}`);
      await produce(`${mood} ${n}`, traceparent);
    }
  };
  for (const mood of ["refuses", "full", "hangs", "gone"] as const) {
    const before = await lost("export_failed");
    if (mood === "gone") await receiver.close();
    else receiver.setMood(mood);
    await produceTraced(mood);
    await waitFor(`spans to be lost for a collector that ${mood}`, async () => (await lost("export_failed")) > before);
  }
  expect(await lost("queue_full")).toBeGreaterThan(0);
  expect(await texts()).toEqual(sent);
});

test("a trace context that is none is left out, and the call is answered", async () => {
  const before = await texts();
  const malformed = ["", "00", `ff-${traceId}-00f067aa0ba902b7-01`, `00-${traceId}-xx-01`, "0".repeat(4000)];
  for (const trace of malformed) await produce("kept", trace);
  expect(await texts()).toEqual([...before, ...malformed.map(() => "kept")]);
});
