import { fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { createChannelPool } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster } from "@tidemark/testkit";
import { type Bench, type Figure, figure } from "../bench.ts";
import { createLedTopic, type Leader } from "../replication/led-topic.ts";
import { processorMs } from "../replication/processor-time.ts";
import { batchOf, produceLoad } from "../replication/produce-load.ts";

/** A load, and the cluster that it goes to. */
interface Way {
  readonly name: string;
  readonly cluster: ClusterName;
  /** One batch in so many is traced, by the context that the producer gives it. Undefined: none. */
  readonly oneIn?: number;
  /** What it is compared with: of the same cluster, or of another. */
  readonly besides: readonly string[];
}

type ClusterName = "bare" | "off" | "on";

const bare = "without any telemetry";
const none = "on, none traced";
/**
 * Processes that were started alike differ by more than one batch in a hundred costs, for as long as they live. So what
 * is traced is told by the batches, and the last three go to the same processes in turn.
 */
const ways: readonly Way[] = [
  { name: bare, cluster: "bare", besides: [] },
  { name: "off", cluster: "off", besides: [bare] },
  { name: none, cluster: "on", besides: [bare] },
  { name: "1 %", cluster: "on", oneIn: 100, besides: [none, bare] },
  { name: "100 %", cluster: "on", oneIn: 1, besides: [none, bare] },
];

/** So often all clusters are started anew: what is theirs by chance is theirs for one start only. */
const starts = 4;
const roundsOfStart = 5;
/** After so much time no further round begins, in milliseconds. */
const workMsMax = 210_000;
const MB = 1e6;
const works = [
  { kibibytes: 16, inFlight: 32, bytes: 24 * MB },
  { kibibytes: 64, inFlight: 5, bytes: 32 * MB },
] as const;
type Work = (typeof works)[number];

const topic = "measured";
const here = (name: string) => new URL(name, import.meta.url);

function environments(sink: string): Readonly<Record<ClusterName, NodeJS.ProcessEnv>> {
  return {
    bare: { NODE_OPTIONS: `--import=${here("./bare-program.ts").href}` },
    off: {},
    on: {
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: sink,
      OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/protobuf",
      OTEL_TRACES_SAMPLER: "parentbased_always_off",
    },
  };
}

interface Place {
  readonly cluster: DevCluster;
  readonly leader: Leader;
}

interface Load {
  /** MB/s. */
  readonly rate: number;
  /** Processor time of the brokers, in milliseconds for each MB. */
  readonly used: number;
}

/** By work and way, each load in the order of the rounds. */
type Loads = Map<Work, Map<string, Load[]>>;

/** What tracing costs, by how much is traced. */
export const tracingCost: Bench = {
  name: "tracing",
  about:
    "produce with acks=all to one partition with three replicas, as `replicated` does it, to three clusters in turn: without " +
    "any telemetry, with tracing off, and with tracing on, to a collector that keeps nothing, where none, 1 % and all of " +
    "the batches are traced.",
  async run(say) {
    const sink = await startSink();
    const loads: Loads = new Map(works.map((work) => [work, new Map(ways.map(({ name }) => [name, []]))]));
    const traced = { batches: 0 };
    const startedMs = performance.now();
    const isOver = () => performance.now() - startedMs > workMsMax;
    try {
      for (let start = 0; start < starts && !isOver(); start++) {
        await withPlaces(environments(sink.url), async (places) => {
          const load = (work: Work, way: Way) => loadOnce(places[way.cluster], work, { way, traced });
          // Twice before it counts: processes that have just started run what V8 has not compiled yet.
          for (const work of [...works, ...works]) for (const way of ways) await load(work, way);
          for (let round = 0; round < roundsOfStart && !isOver(); round++) {
            for (const work of works) {
              for (const way of inTurn(start, round))
                loads
                  .get(work)
                  ?.get(way.name)
                  ?.push(await load(work, way));
            }
            say(`start ${start + 1} of ${starts}, round ${round + 1} of ${roundsOfStart}`);
          }
        });
      }
      const spans = await sink.spans();
      return [
        ...works.flatMap((work) => figuresOf(work, loads.get(work) ?? new Map<string, Load[]>())),
        figure("spans that arrived, of each batch that was traced", "", [spans / traced.batches]),
      ];
    } finally {
      sink.stop();
    }
  },
};

/** Each comes at each place, and behind each of its neighbours: what one leaves behind falls on all alike. */
function inTurn(start: number, round: number): readonly Way[] {
  const first = round % ways.length;
  const order = [...ways.slice(first), ...ways.slice(0, first)];
  return start % 2 === 0 ? order : order.reverse();
}

/** Starts the clusters, gives them to `work`, and stops them: then each process has sent its last span. */
async function withPlaces(
  environmentOf: Readonly<Record<ClusterName, NodeJS.ProcessEnv>>,
  work: (places: Readonly<Record<ClusterName, Place>>) => Promise<void>,
): Promise<void> {
  const pool = createChannelPool({ runtime: createNodeRuntime() });
  const clusters: DevCluster[] = [];
  const start = async (name: ClusterName): Promise<Place> => {
    const cluster = await startDevCluster({ brokers: 3, env: environmentOf[name] });
    clusters.push(cluster);
    return { cluster, leader: await createLedTopic(cluster, pool, { topic, replicationFactor: 3, flush: "sync" }) };
  };
  try {
    await work({ bare: await start("bare"), off: await start("off"), on: await start("on") });
  } finally {
    pool.close();
    for (const cluster of clusters) await cluster.stop();
  }
}

async function loadOnce(
  { cluster, leader }: Place,
  { kibibytes, inFlight, bytes }: Work,
  { way, traced }: { readonly way: Way; readonly traced: { batches: number } },
): Promise<Load> {
  const batch = batchOf(kibibytes * 1024);
  const count = Math.ceil(bytes / batch.length);
  const traceparentOf = (sequence: number) => {
    if (way.oneIn === undefined || sequence % way.oneIn > 0) return "";
    traced.batches++;
    return `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-01`;
  };
  const before = usedBy(cluster);
  const { rate } = await produceLoad(leader.channel, { topic, batch, count, inFlight, traceparentOf });
  return { rate, used: (usedBy(cluster) - before) / ((count * batch.length) / MB) };
}

function figuresOf({ kibibytes, inFlight }: Work, loads: ReadonlyMap<string, readonly Load[]>): readonly Figure[] {
  const of = (name: string, kind: keyof Load) => (loads.get(name) ?? []).map((load) => load[kind]);
  const named = (name: string) => `${kibibytes} KiB x ${inFlight}, ${name}`;
  return ways.flatMap(({ name, besides }) => {
    const beside = (to: string | undefined, kind: keyof Load) =>
      to === undefined ? undefined : { to, values: of(to, kind) };
    return (besides.length === 0 ? [undefined] : besides).flatMap((to) => [
      figure(named(name), "MB/s", of(name, "rate"), beside(to, "rate")),
      figure(`${named(name)}, processor time of the brokers`, "ms/MB", of(name, "used"), beside(to, "used")),
    ]);
  });
}

/** Milliseconds of processor time of the three brokers. */
function usedBy(cluster: DevCluster): number {
  return [1, 2, 3].reduce((sum, id) => sum + processorMs(cluster.process(`broker-${id}`).pid ?? 0), 0);
}

interface Sink {
  readonly url: string;
  /** How many came. */
  spans(): Promise<number>;
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
    spans: async () => (await (await fetch(url)).json()) as number,
    stop: () => child.disconnect(),
  };
}
