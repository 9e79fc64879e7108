/** A cluster of real processes of which one can be made slow, and the traces of what is produced meanwhile. */
import { context, trace } from "@opentelemetry/api";
import { type Client, createClient } from "@tidemark/client";
import { createNodeRuntime } from "@tidemark/runtime";
import { startTelemetry } from "@tidemark/telemetry";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { createDialRelay, type RelayedProcess } from "@tidemark/testkit/dial-relay";
import type { Jaeger } from "@tidemark/testkit/jaeger";
import { createSlowDisk } from "@tidemark/testkit/slow-disk";

export const topic = "explained";

export interface FaultyCluster {
  readonly cluster: DevCluster;
  readonly client: Client;
  /** Who leads the topic's partition, and who follows. */
  roles(): Promise<{ readonly leader: string; readonly followers: readonly string[] }>;
  /** Produces one record that is traced. Resolves when it is acknowledged. */
  produce(): Promise<void>;
  slowDisk(name: string, delayMs: number): void;
  /** Each way, of all that the process says and is told. */
  slowNetwork(name: string, delayMs: number): void;
  /** The first culprit that `tidemark trace explain` names of what began since then, by nothing but Jaeger's answers. */
  explain(since: Date): Promise<{ readonly culprit: string; readonly text: string }>;
  stop(): Promise<void>;
}

export interface FaultyClusterOptions {
  readonly flags: readonly string[];
  /** Whether disks and networks can be made slow. Then connections go by a relay. */
  readonly isSlowable: boolean;
}

export async function startFaultyCluster(
  jaeger: Jaeger,
  { flags, isSlowable }: FaultyClusterOptions,
): Promise<FaultyCluster> {
  const [relay, disk] = [await createDialRelay(), createSlowDisk()];
  const telemetry = await startTelemetry({
    service: "tidemark-client",
    instanceId: "client",
    runtime: createNodeRuntime(),
    scope: "process",
    environment: { ...jaeger.environment, OTEL_TRACES_SAMPLER: "parentbased_always_on" },
    logLevel: "error",
    metricsListener: undefined,
  });
  const env = {
    ...jaeger.environment,
    ...(isSlowable
      ? { ...relay.env, ...disk.env, NODE_OPTIONS: `${relay.env.NODE_OPTIONS} ${disk.env.NODE_OPTIONS}` }
      : {}),
    OTEL_TRACES_SAMPLER: "parentbased_always_off",
  };
  const cluster = await startDevCluster({ brokers: 3, env, flags });
  const client = await createClient({ bootstrap: cluster.endpoint("gateway-1"), routing: "bootstrap" });
  await client.admin.createTopic({ topic, partitions: 1, replicationFactor: 3 });
  const partition = async () => (await client.admin.describeTopics({ topics: [topic] })).topics[0]?.partitions[0];
  await waitFor("three in sync", async () => (await partition())?.isr.length === 3);
  const producer = client.createProducer();
  await producer.send(topic, { value: "not traced" });

  return {
    cluster,
    client,
    async roles() {
      const state = await partition();
      const others = (state?.replicas ?? []).filter((id) => id !== state?.leader);
      return { leader: `broker-${state?.leader}`, followers: others.map((id) => `broker-${id}`) };
    },
    async produce() {
      const span = trace.getTracer("faults").startSpan("application");
      const sent = context.with(trace.setSpan(context.active(), span), () => producer.send(topic, { value: "traced" }));
      const { kind } = await sent;
      span.end();
      if (kind !== "acknowledged") throw new Error(`The produce was not acknowledged: ${kind}`);
    },
    slowDisk: (name, delayMs) => disk.slow(cluster.process(name).pid ?? 0, delayMs),
    slowNetwork: (name, delayMs) => relay.slow(relayed(cluster, name), delayMs),
    async explain(since) {
      await quiet(jaeger);
      const args = ["trace", "explain", "--jaeger", jaeger.url, "--since", since.toISOString()];
      const { stdout, stderr, code } = await cluster.tidemark(args);
      if (code !== 0) throw new Error(`tidemark trace explain ended with ${code}: ${stderr}`);
      const text = stdout.toString();
      return { culprit: text.split(":")[0] ?? "", text };
    },
    async stop() {
      await producer.close();
      client.close();
      await cluster.stop();
      await telemetry.shutdown();
      disk.close();
      await relay.close();
    },
  };
}

function relayed(cluster: DevCluster, name: string): RelayedProcess {
  const { pid = 0, endpoints } = cluster.process(name);
  return { pid, ports: Object.values(endpoints).map((endpoint) => Number(endpoint.split(":").at(-1))) };
}

/** Every process has sent what it had: for a while nothing more came. */
async function quiet(jaeger: Jaeger): Promise<void> {
  let count = -1;
  let sinceMs = performance.now();
  await waitFor("no more spans to come", async () => {
    const { length } = await jaeger.spans();
    if (length !== count) sinceMs = performance.now();
    count = length;
    return performance.now() - sinceMs > 700;
  });
}
