import { fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createChannelPool } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster } from "@tidemark/testkit";
import { type Bench, type Figure, figure } from "../bench.ts";
import { createLedTopic, type Leader } from "../replication/led-topic.ts";
import { processorMs } from "../replication/processor-time.ts";
import { batchOf, produceLoad } from "../replication/produce-load.ts";
import { createTelemetrySwitch, type TelemetryMode } from "./telemetry-switch.ts";

/** A load, and what services do of their telemetry meanwhile. */
interface Way {
  readonly name: string;
  readonly mode: TelemetryMode;
  /** One batch in so many is traced, by the context that the producer gives it. Undefined: none. */
  readonly oneIn?: number;
  /** What it is compared with. */
  readonly besides: readonly string[];
}

const bare = "without any telemetry";
const none = "on, none traced";
/**
 * Processes that were started alike differ by more than what is looked for here, for as long as they live. So all loads go
 * to the same processes, in turn: these are told what to do of their telemetry, and what is traced is told by the batches.
 */
const ways: readonly Way[] = [
  { name: bare, mode: "nothing", besides: [] },
  { name: "off", mode: "metrics", besides: [bare] },
  { name: none, mode: "all", besides: [bare] },
  { name: "1 %", mode: "all", oneIn: 100, besides: [none, bare] },
  { name: "100 %", mode: "all", oneIn: 1, besides: [none, bare] },
];

/** So often the cluster is started anew: what is its own by chance is so for one start only. */
const starts = 4;
/** A start takes so long, in milliseconds: no further round begins after that. */
const startMs = 190_000;
/** Spans are sent so soon, in milliseconds, and a load is over only then: the next one does not pay for them. */
const sentMs = 100;
const MB = 1e6;
const works = [
  { kibibytes: 16, inFlight: 32, bytes: 16 * MB },
  { kibibytes: 64, inFlight: 5, bytes: 24 * MB },
] as const;
type Work = (typeof works)[number];

const topic = "measured";

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
    "produce with acks=all to one partition with three replicas, as `replicated` does it, to one cluster that in turn goes " +
    "without any telemetry, with tracing off, and with tracing on, to a collector that keeps nothing, where none, 1 % and " +
    "all of the batches are traced. A quarter of an hour.",
  async run(say) {
    const sink = await startSink();
    const telemetry = await createTelemetrySwitch();
    const loads: Loads = new Map(works.map((work) => [work, new Map(ways.map(({ name }) => [name, []]))]));
    const traced = { batches: 0 };
    const env = {
      ...telemetry.env,
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: sink.url,
      OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/protobuf",
      OTEL_TRACES_SAMPLER: "parentbased_always_off",
      OTEL_BSP_SCHEDULE_DELAY: String(sentMs),
    };
    try {
      for (let start = 0; start < starts; start++) {
        await withPlace(env, async (place) => {
          const load = async (work: Work, way: Way) => {
            await telemetry.turn(way.mode);
            return loadOnce(place, work, { way, traced });
          };
          // Often before it counts: processes that have just started run what V8 has not compiled yet.
          for (let round = 0; round < 3; round++) {
            for (const work of works) for (const way of ways) await load(work, way);
          }
          const endMs = performance.now() + startMs;
          for (let round = 0; performance.now() < endMs; round++) {
            for (const work of works) {
              for (const way of inTurn(round)) {
                loads
                  .get(work)
                  ?.get(way.name)
                  ?.push(await load(work, way));
              }
            }
            say(`start ${start + 1} of ${starts}, round ${round + 1}`);
          }
        });
      }
      const spans = await sink.spans();
      return [
        ...works.flatMap((work) => figuresOf(work, loads.get(work) ?? new Map<string, Load[]>())),
        figure("spans that arrived, of each batch that was traced", "", [spans / traced.batches]),
      ];
    } finally {
      telemetry.close();
      sink.stop();
    }
  },
};

/** Each comes at each place, and behind each of its neighbours: what one leaves behind falls on all alike. */
function inTurn(round: number): readonly Way[] {
  const first = round % ways.length;
  const order = [...ways.slice(first), ...ways.slice(0, first)];
  return Math.floor(round / ways.length) % 2 === 0 ? order : order.reverse();
}

/** Starts a cluster, gives it to `work`, and stops it: then each process has sent its last span. */
async function withPlace(env: NodeJS.ProcessEnv, work: (place: Place) => Promise<void>): Promise<void> {
  const pool = createChannelPool({ runtime: createNodeRuntime() });
  const cluster = await startDevCluster({ brokers: 3, env });
  try {
    await work({
      cluster,
      leader: await createLedTopic(cluster, pool, { topic, replicationFactor: 3, flush: "sync" }),
    });
  } finally {
    pool.close();
    await cluster.stop();
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
  await setTimeout(2 * sentMs);
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
  const child = fork(fileURLToPath(new URL("./sink-program.ts", import.meta.url)));
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
