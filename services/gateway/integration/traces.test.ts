import { AdminService } from "@tidemark/proto/admin/v1";
import { Format, LogService } from "@tidemark/proto/log/v1";
import { createChannelPool, createRpcClient } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import {
  createOtlpReceiver,
  type DevCluster,
  type OtlpReceiver,
  type ReceivedSpan,
  startDevCluster,
} from "@tidemark/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const produceTrace = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" };
const fetchTrace = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" };
const traceparent = ({ traceId, spanId }: typeof produceTrace) => `00-${traceId}-${spanId}-01`;

let receiver: OtlpReceiver;
let cluster: DevCluster;
let exporting: Record<string, string>;
const pool = createChannelPool({ runtime: createNodeRuntime() });

beforeAll(async () => {
  receiver = await createOtlpReceiver();
  exporting = {
    OTEL_TRACES_EXPORTER: "otlp",
    OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.grpcUrl,
    OTEL_TRACES_SAMPLER: "parentbased_always_off",
    OTEL_BSP_SCHEDULE_DELAY: "50",
  };
  cluster = await startDevCluster({
    brokers: 2,
    env: exporting,
  });
});

afterAll(async () => {
  pool.close();
  await cluster.stop();
  await receiver.close();
});

const byName = (spans: readonly ReceivedSpan[], name: string) => spans.filter((span) => span.name === name);
const only = (spans: readonly ReceivedSpan[], name: string): ReceivedSpan => {
  const found = byName(spans, name);
  expect(found.map((span) => span.name)).toEqual([name]);
  return found[0] as ReceivedSpan;
};

describe("one record", () => {
  it("is one trace from the gateway to the ack, and its fetch links back to it", async () => {
    const channel = pool.get(cluster.endpoint("gateway-1"), "produce");
    const log = createRpcClient(LogService, channel);
    await createRpcClient(AdminService, channel).createTopic({ topic: "traced", partitions: 1 });
    // Not sampled by anybody: it leaves nothing. Afterwards the leader is known to lead, so one attempt is enough.
    await log.produce({ topic: "traced", records: [{ valueForm: { case: "text", value: "untraced" } }] });
    await log.produce(
      { topic: "traced", records: [{ valueForm: { case: "text", value: "hello" } }] },
      { traceparent: traceparent(produceTrace) },
    );
    await log.fetch({ topic: "traced", format: Format.TEXT }, { traceparent: traceparent(fetchTrace) });

    const all = await receiver.waitForSpans(
      // Each process sends its spans when it pleases.
      (spans) =>
        ["gateway route", "broker produce", "ack", "broker fetch"].every((name) => byName(spans, name).length > 0),
    );
    const produced = all.filter((span) => span.traceId === produceTrace.traceId);
    expect(produced.map((span) => span.name).sort()).toEqual([
      "ack",
      "append",
      "broker produce",
      "flush",
      "gateway route",
      "high watermark advance",
      "replicate",
    ]);

    const route = only(produced, "gateway route");
    const broker = only(produced, "broker produce");
    expect(route.parentSpanId).toBe(produceTrace.spanId);
    expect(broker.parentSpanId).toBe(route.spanId);
    for (const name of ["append", "flush", "replicate", "high watermark advance", "ack"]) {
      const span = only(produced, name);
      expect([name, span.parentSpanId]).toEqual([name, broker.spanId]);
      expect(span.startNanos).toBeGreaterThanOrEqual(broker.startNanos);
      expect(span.endNanos).toBeLessThanOrEqual(broker.endNanos);
    }
    expect(broker.attributes).toMatchObject({
      "messaging.system": "tidemark",
      "messaging.destination.name": "traced",
      "messaging.batch.message_count": 1,
    });
    const [follower] = [1, 2].filter((id) => broker.resource["service.instance.id"] !== `broker-${id}`);
    expect(only(produced, "replicate").attributes).toMatchObject({ "tidemark.follower": follower });
    expect(only(produced, "ack").attributes).toMatchObject({
      "tidemark.outcome": "APPLIED",
      "tidemark.replicas_counted": 2,
    });
    expect(route.resource).toMatchObject({ "service.name": "tidemark-gateway", "service.instance.id": "gateway-1" });
    expect(broker.resource["service.name"]).toBe("tidemark-broker");
    expect(broker.resource["service.instance.id"]).toMatch(/^broker-[12]$/);

    const fetched = only(all, "broker fetch");
    expect(fetched.traceId).toBe(fetchTrace.traceId);
    // The header that is stored with the batch names the span that wrote it: the gateway's.
    expect(fetched.links.map((link) => link.traceId)).toEqual([produceTrace.traceId]);
    expect(produced.map((span) => span.spanId)).toEqual(
      expect.arrayContaining(fetched.links.map((link) => link.spanId).filter((id) => id !== produceTrace.spanId)),
    );
  });

  it("is what the fetch of a consumer links back to, above the fetch at the broker", async () => {
    const { code, stdout } = await cluster.tidemark(["consume", "traced", "--until-end", "--format", "raw"], {
      env: { ...exporting, OTEL_TRACES_SAMPLER: "" },
    });
    expect([code, stdout.toString()]).toEqual([0, "untraced\nhello\n"]);
    const all = await receiver.waitForSpans((spans) => {
      const [fetch] = byName(spans, "tidemark.fetch");
      return byName(spans, "broker fetch").some(({ traceId }) => traceId === fetch?.traceId);
    });
    const fetch = only(all, "tidemark.fetch");
    expect(fetch.resource["service.name"]).toBe("tidemark-client");
    expect(fetch.links.map((link) => link.traceId)).toEqual([produceTrace.traceId]);
    expect(fetch.attributes).toMatchObject({
      "messaging.destination.name": "traced",
      "messaging.destination.partition.id": "0",
      "messaging.batch.message_count": 2,
      "tidemark.offset": "0",
      "tidemark.high_watermark": "2",
    });
    const ofTrace = all.filter(({ traceId }) => traceId === fetch.traceId);
    expect(fetch.parentSpanId).toBeUndefined();
    const below = only(ofTrace, "broker fetch");
    expect(below.parentSpanId).toBe(fetch.spanId);
    expect(below.startNanos).toBeGreaterThanOrEqual(fetch.startNanos);
    expect(below.endNanos).toBeLessThanOrEqual(fetch.endNanos);
  });
});
