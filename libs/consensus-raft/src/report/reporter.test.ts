import { createManualTime, createNodeRuntime, createSeededRandom } from "@tidemark/runtime";
import { spanNames, startTelemetry, type TraceContext } from "@tidemark/telemetry";
import { createOtlpReceiver, type ReceivedSpan } from "@tidemark/testkit";
import { afterEach, describe, expect, it } from "vitest";
import type { NodeEventSink } from "../node/events.ts";
import { createManualCluster, type ManualCluster } from "../testing/manual-cluster.ts";
import { identityOf } from "../testing/raft-cluster.ts";
import { createRaftReporter } from "./reporter.ts";
import type { WonCampaign } from "./traces.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A cluster whose nodes report to one log, and their spans to a receiver. */
async function reporting(sampler: string) {
  const receiver = await createOtlpReceiver();
  closing.push(() => receiver.close());
  const lines: string[] = [];
  const time = createManualTime();
  const telemetry = await startTelemetry({
    service: "tidemark-controller",
    instanceId: "controller-1",
    runtime: { clock: time.clock, random: createSeededRandom(7), scheduler: createNodeRuntime().scheduler },
    environment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.httpUrl,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
      OTEL_METRICS_EXPORTER: "none",
      OTEL_TRACES_SAMPLER: sampler,
    },
    logLevel: "debug",
    metricsListener: undefined,
    writeLog: (line) => lines.push(line),
  });
  const won: WonCampaign[] = [];
  let parent: TraceContext | undefined;
  const reporters = new Map<number, NodeEventSink>();
  const reporterOf = (node: number): NodeEventSink => {
    const { directoryId: id } = identityOf(node);
    const address = () => `${node}@controller-${node}.test:4650`;
    const onWon = (campaign: WonCampaign) => won.push(campaign);
    const known = reporters.get(node);
    const under = { parent: () => parent, underWay: () => parent };
    return known ?? createRaftReporter({ telemetry, clock: time.clock, id, address, ...under, onWon });
  };
  const cluster = await createManualCluster({
    time,
    onNodeEvent(node, event) {
      const reporter = reporterOf(node);
      reporters.set(node, reporter);
      reporter(event);
    },
  });
  return {
    cluster,
    lines,
    won,
    commitBelow: () => (parent = telemetry.tracer.start({ name: spanNames.commitBatch, parent: undefined }).context),
    async spans(): Promise<readonly ReceivedSpan[]> {
      await telemetry.shutdown();
      return receiver.spans();
    },
  };
}

async function work(cluster: ManualCluster): Promise<void> {
  const [first] = await cluster.joinAll();
  cluster.cut(3);
  for (let n = 0; n < 5; n++) await cluster.settled(first.append(`/test/${n}`, "1"));
  await cluster.compact();
  cluster.heal(3);
  await cluster.until(() => cluster.stores().get(3)?.node.replica.get("/test/4") !== undefined, "the third has it");
  await cluster.wait(500);
}

describe("a member's report", () => {
  it("shows elections, appends, quorums and snapshots as spans", async () => {
    const { cluster, spans, won } = await reporting("parentbased_always_on");
    await work(cluster);
    await cluster.close();
    const received = await spans();
    const named = (name: string) => received.filter((span) => span.name === name);
    expect(won[0]?.attributes).toMatchObject({
      "tidemark.backend": "raft",
      "tidemark.raft.term": 2,
      "tidemark.cause": "timeout",
      "tidemark.outcome": "won",
    });
    expect(named(spanNames.raftAppend).length).toBeGreaterThanOrEqual(5);
    expect(named(spanNames.raftQuorum).length).toBeGreaterThanOrEqual(5);
    expect(named(spanNames.raftSnapshot).map(({ attributes }) => attributes["tidemark.cause"])).toEqual(
      expect.arrayContaining(["save", "send"]),
    );
  });

  it("keeps elections and snapshots where nothing else is sampled", async () => {
    const { cluster, spans, won } = await reporting("parentbased_always_off");
    await work(cluster);
    await cluster.close();
    const names = new Set((await spans()).map(({ name }) => name));
    expect(names).toEqual(new Set([spanNames.raftSnapshot]));
    expect(won).toHaveLength(1);
  });

  it("tells of every entry that is committed for an election, below it, whatever the sampling says", async () => {
    const { cluster, spans, commitBelow } = await reporting("parentbased_always_off");
    const [first] = await cluster.joinAll();
    const { spanId } = commitBelow();
    await cluster.settled(first.append("/test/1", "1"));
    await cluster.close();
    const told = await spans();
    expect(new Set(told.map(({ name }) => name))).toEqual(new Set([spanNames.raftAppend, spanNames.raftQuorum]));
    expect(new Set(told.map(({ parentSpanId }) => parentSpanId))).toEqual(new Set([spanId]));
  });

  it("names in the log what the end of a leadership comes in between, and the span of a snapshot", async () => {
    const { cluster, lines, spans, commitBelow } = await reporting("parentbased_always_off");
    await work(cluster);
    const { spanId } = commitBelow();
    cluster.cut(1);
    const message = "leads the controllers' quorum no more";
    await cluster.until(() => lines.join("").includes(message), "the first leads no more");
    await cluster.close();
    const all = lines.map((line) => JSON.parse(line) as { readonly message: string; readonly span_id?: string });
    const idsOf = (message: string) => all.filter((line) => line.message === message).map((line) => line.span_id);
    expect(idsOf(message)[0]).toBe(spanId);
    const saved = (await spans()).filter(({ attributes }) => attributes["tidemark.cause"] === "save");
    expect(saved.length).toBeGreaterThan(0);
    expect(idsOf("snapshot saved").sort()).toEqual(saved.map((span) => span.spanId).sort());
  });

  it("says in the log whom a quorum misses, and how one that is no member becomes one", async () => {
    const { cluster, lines } = await reporting("parentbased_always_off");
    await cluster.joinAll();
    cluster.kill(1);
    cluster.kill(2);
    await cluster.wait(10_000);
    await cluster.close();
    const { directoryId } = identityOf(9);
    expect(lines.join("\n")).toContain('"missing":"1@controller-1.test:4650, 2@controller-2.test:4650"');
    expect(lines.join("\n")).toContain(`tidemark controller add-voter 9@controller-9.test:4650:${directoryId}`);
  });
});
