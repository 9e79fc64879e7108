import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createChannelPool } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster } from "@tidemark/testkit";
import { type Bench, type Figure, figure } from "../bench.ts";
import { createLedTopic, type Leader } from "../replication/led-topic.ts";
import { processorMs } from "../replication/processor-time.ts";
import { batchOf, produceLoad } from "../replication/produce-load.ts";

/**
 * In which order the four take their turns, round by round: each comes at each place once, and behind each of the
 * others once, so that what one leaves behind (spans that are still to be sent, garbage) falls on all alike.
 */
const orders = [
  [0, 1, 3, 2],
  [1, 2, 0, 3],
  [2, 3, 1, 0],
  [3, 0, 2, 1],
] as const;
const rounds = 6 * orders.length;
/** After so much time no further round begins, in milliseconds. */
const workMsMax = 90_000;
const MB = 1e6;
const works = [
  { kibibytes: 16, inFlight: 32, bytes: 24 * MB },
  { kibibytes: 64, inFlight: 5, bytes: 32 * MB },
] as const;

const topic = "measured";
const bareName = "without any telemetry";
const here = (name: string) => new URL(name, import.meta.url);

/** Clusters that differ in nothing but what becomes of telemetry. */
function variantsOf(sink: string): readonly { readonly name: string; readonly env: NodeJS.ProcessEnv }[] {
  const traced = (ratio: string) => ({
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${sink}/${ratio}`,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/protobuf",
    OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
    OTEL_TRACES_SAMPLER_ARG: ratio,
  });
  return [
    { name: bareName, env: { NODE_OPTIONS: `--import=${here("./bare-program.ts").href}` } },
    { name: "off", env: {} },
    { name: "1 %", env: traced("0.01") },
    { name: "100 %", env: traced("1") },
  ];
}

interface Measured {
  readonly name: string;
  readonly cluster: DevCluster;
  readonly leader: Leader;
}

/** What tracing costs, by how much is traced. */
export const tracingCost: Bench = {
  name: "tracing",
  about:
    "produce with acks=all to one partition with three replicas, as `replicated` does it, to four clusters in turn: without " +
    "any telemetry, with tracing off, with 1 % and with all of the batches traced to a collector that keeps nothing.",
  async run(say) {
    const sink = await startSink();
    const pool = createChannelPool({ runtime: createNodeRuntime() });
    const measured: Measured[] = [];
    try {
      for (const { name, env } of variantsOf(sink.url)) {
        const cluster = await startDevCluster({ brokers: 3, env });
        const of = { topic, replicationFactor: 3, flush: "sync" };
        measured.push({ name, cluster, leader: await createLedTopic(cluster, pool, of) });
        say(name);
      }
      const figures: Figure[] = [];
      for (const work of works) figures.push(...(await measure(measured, work, say)));
      for (const [ratio, spans] of Object.entries(await sink.spans())) {
        figures.push(figure(`spans that arrived, ratio ${ratio.slice(1)}`, "", [spans]));
      }
      return figures;
    } finally {
      pool.close();
      for (const { cluster } of measured) await cluster.stop();
      sink.stop();
    }
  },
};

async function measure(
  all: readonly Measured[],
  { kibibytes, inFlight, bytes }: (typeof works)[number],
  say: (line: string) => void,
): Promise<readonly Figure[]> {
  const batch = batchOf(kibibytes * 1024);
  const work = { topic, batch, count: Math.ceil(bytes / batch.length), inFlight };
  const load = async ({ cluster, leader }: Measured) => {
    const before = usedBy(cluster);
    const { rate } = await produceLoad(leader.channel, work);
    return { rate, used: (usedBy(cluster) - before) / ((work.count * batch.length) / MB) };
  };
  const found = new Map(all.map(({ name }) => [name, [] as { readonly rate: number; readonly used: number }[]]));
  // Twice before it counts: processes that have just started run what V8 has not compiled yet.
  for (const each of [...all, ...all]) await load(each);
  const startedMs = performance.now();
  for (let round = 0; round < rounds && performance.now() - startedMs < workMsMax; round++) {
    for (const turn of orders[round % orders.length] ?? []) {
      const each = all[turn];
      if (each !== undefined) found.get(each.name)?.push(await load(each));
    }
    say(`${kibibytes} KiB, round ${round + 1} of ${rounds}`);
  }
  const bare = found.get(bareName) ?? [];
  return all.flatMap(({ name }) => {
    const own = found.get(name) ?? [];
    const beside = (values: readonly number[]) => (name === bareName ? undefined : { to: bareName, values });
    const rates = own.map(({ rate }) => rate);
    const used = own.map((each) => each.used);
    return [
      figure(`${kibibytes} KiB x ${inFlight}, ${name}`, "MB/s", rates, beside(bare.map(({ rate }) => rate))),
      figure(
        `${kibibytes} KiB x ${inFlight}, ${name}, processor time of the brokers`,
        "ms/MB",
        used,
        beside(bare.map((each) => each.used)),
      ),
    ];
  });
}

/** Milliseconds of processor time of the three brokers. */
function usedBy(cluster: DevCluster): number {
  return [1, 2, 3].reduce((sum, id) => sum + processorMs(cluster.process(`broker-${id}`).pid ?? 0), 0);
}

interface Sink {
  /** With a path of one's own behind it. */
  readonly url: string;
  /** How many came, by the path. */
  spans(): Promise<Readonly<Record<string, number>>>;
  stop(): void;
}

/** A process of its own: what it costs is no broker's processor time. */
async function startSink(): Promise<Sink> {
  const child = fork(fileURLToPath(here("./sink-program.ts")));
  const port = await new Promise<number>((resolve, reject) => {
    child.once("message", (told) => resolve(Number(told)));
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`The collector ended with ${code}`)));
  });
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    spans: async () => (await (await fetch(url)).json()) as Readonly<Record<string, number>>,
    stop: () => child.disconnect(),
  };
}
