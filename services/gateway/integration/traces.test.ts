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
  waitFor,
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

const instanceOf = ({ resource }: ReceivedSpan) => resource["service.instance.id"];

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
        ["gateway route", "broker produce", "ack", "broker fetch", "replica receive"].every(
          (name) => byName(spans, name).length > 0,
        ),
    );
    const ofProduce = all.filter((span) => span.traceId === produceTrace.traceId);
    const receive = only(ofProduce, "replica receive");
    const inFollower = (span: ReceivedSpan) => instanceOf(span) === instanceOf(receive);
    const produced = ofProduce.filter((span) => !inFollower(span));
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
    // The follower's own part, in its own process: below the leader's span for it, and linked to the fetch that served it.
    expect(instanceOf(receive)).toBe(`broker-${follower}`);
    expect(receive.parentSpanId).toBe(only(produced, "replicate").spanId);
    const replicaFetch = only(all, "replica fetch");
    expect(instanceOf(replicaFetch)).toBe(`broker-${follower}`);
    expect(receive.links.map((link) => link.spanId)).toEqual([replicaFetch.spanId]);
    expect(replicaFetch.traceId).not.toBe(produceTrace.traceId);
    for (const name of ["append", "flush"]) {
      expect(only(ofProduce.filter(inFollower), name).parentSpanId).toBe(receive.spanId);
    }
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

describe("a broker that is lost", () => {
  it("is one trace from the lost connection to the new leader's first append; its return widens the ISR", async () => {
    const channel = pool.get(cluster.endpoint("gateway-1"), "produce");
    const [log, admin] = [createRpcClient(LogService, channel), createRpcClient(AdminService, channel)];
    const topic = "elected";
    const settings = { "min.insync.replicas": "1" };
    await admin.createTopic({ topic, partitions: 1, replicationFactor: 2, settings });
    const partition = async () => (await admin.describeTopics({ topics: [topic] })).topics[0]?.partitions[0];
    const lost = await waitFor("both in sync", async () => {
      const state = await partition();
      return state?.isr.length === 2 && state.leader;
    });
    await cluster.kill(`broker-${lost}`);
    const left = await waitFor("another leader", async () => {
      const leader = (await partition())?.leader;
      return leader !== lost && leader;
    });
    await log.produce({ topic, records: [{ valueForm: { case: "text", value: "after it" } }] });
    await cluster.start(`broker-${lost}`);
    await waitFor("both in sync", async () => (await partition())?.isr.length === 2);

    const ofTopic = (span: ReceivedSpan) => span.attributes["messaging.destination.name"] === topic;
    const all = await receiver.waitForSpans((spans) =>
      ["election", "become leader", "isr expand"].every((name) => {
        const some = byName(spans, name);
        return name === "election" ? some.length > 0 : some.some(ofTopic);
      }),
    );
    const led = byName(all, "become leader").filter((span) => ofTopic(span) && instanceOf(span) === `broker-${left}`);
    const chosen = byName(all, "partition").filter((span) => span.spanId === led[0]?.parentSpanId);
    expect([led.length, chosen.length]).toEqual([1, 1]);
    expect(chosen[0]?.attributes).toMatchObject({ "tidemark.leader.old": lost, "tidemark.leader": left });
    const [election] = byName(all, "election").filter(({ spanId }) => spanId === chosen[0]?.parentSpanId);
    expect(election?.parentSpanId).toBeUndefined();
    expect(election?.attributes).toMatchObject({ "tidemark.cause": "connection lost", "tidemark.broker": lost });
    const below = all.filter(({ parentSpanId }) => parentSpanId === election?.spanId).map(({ name }) => name);
    expect(new Set(below)).toEqual(new Set(["session end", "decide", "commit batch", "publish", "partition"]));

    const widened = byName(all, "isr expand").filter(ofTopic);
    expect(widened.map(instanceOf)).toEqual([`broker-${left}`]);
    const isr = expect.arrayContaining([1, 2]) as unknown;
    expect(widened[0]?.attributes).toMatchObject({ "tidemark.follower": [lost], "tidemark.isr": isr });
    expect(widened[0]?.parentSpanId).toBeUndefined();
  });
});
