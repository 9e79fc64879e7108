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
import type { BusyShares } from "./busy-shares.ts";
import { createTelemetrySwitch, type TelemetryMode } from "./telemetry-switch.ts";

/** A load, and what services do of their telemetry meanwhile. */
interface Way {
  readonly name: string;
  readonly mode: TelemetryMode;
  /** One batch in so many is traced, by the context that the producer gives it. Undefined: none. */
  readonly oneIn?: number;
  /** Done in one of so many rounds: what is far off is seen with few. Undefined: in each. */
  readonly everyRounds?: number;
  /** What it is compared with, by name. */
  readonly besides: readonly string[];
}

const bare = "without any telemetry";
const off = "off";
/**
 * Processes that were started alike differ by more than what is looked for here, for as long as they live. So all loads go
 * to the same processes, in turn: these are told what to do of their telemetry, and what is traced is told by the batches.
 */
const ways: readonly Way[] = [
  { name: bare, mode: "nothing", besides: [] },
  { name: off, mode: "all", besides: [bare] },
  { name: "1 %", mode: "all", oneIn: 100, besides: [off, bare] },
  { name: "100 %", mode: "all", oneIn: 1, everyRounds: 7, besides: [off, bare] },
];

/** So often the cluster is started anew: what is its own by chance is so for one start only. */
const starts = 4;
/** A start takes so long, in milliseconds: no further round begins after that. */
const startMs = 690_000;
/** So many rounds of each start do not count: processes that have just started run what V8 has not compiled yet. */
const warmRounds = 2;
/** So many loads of each kind are profiled in each start. */
const profiledLoads = 2;
/**
 * Spans leave so often, in milliseconds, more often than by the default of 5 s: before a load is measured it goes on for
 * longer than that without being measured, so that what is sent while it is are spans of its own kind, as many as it makes.
 */
const sentMs = 1000;
const MB = 1e6;
const works = [
  { kibibytes: 16, inFlight: 32, before: 72 * MB, bytes: 108 * MB },
  { kibibytes: 64, inFlight: 5, before: 72 * MB, bytes: 108 * MB },
] as const;
type Work = (typeof works)[number];

const topic = "measured";
/** Little is kept: what has to find new memory for all that it writes is slower by the minute. */
const settings = { flush: "sync", "segment.bytes": "64MiB", "retention.bytes": "64MiB" } as const;

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

/** One load of each way that came in this round, by its name. */
type Round = ReadonlyMap<string, Load>;

/** What came of one kind of work: its rounds, and by way what each start's services were busy with, the busiest first. */
interface Found {
  readonly rounds: Round[];
  readonly profiles: Map<string, (readonly BusyShares[])[]>;
}

/** What tracing costs, by how much is traced. */
export const tracingCost: Bench = {
  name: "tracing",
  about:
    "produce with acks=all to one partition with three replicas, as `replicated` does it, to one cluster that in turn goes " +
    "without any telemetry and with all of it, to a collector that keeps nothing, where none, 1 % and all of the batches are " +
    "traced; and by a profile what its services were busy with. Fifty minutes.",
  async run(say) {
    const sink = await startSink();
    const telemetry = await createTelemetrySwitch();
    const found = new Map<Work, Found>(works.map((work) => [work, { rounds: [], profiles: new Map() }]));
    const traced = { batches: 0 };
    const env = {
      ...telemetry.env,
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: sink.url,
      OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/protobuf",
      OTEL_TRACES_SAMPLER: "parentbased_always_off",
      OTEL_BSP_SCHEDULE_DELAY: String(sentMs),
      TIDEMARK_LOG_RETENTION_CHECK_INTERVAL_MS: "1000",
    };
    try {
      for (let start = 0; start < starts; start++) {
        await withPlace(env, async (place) => {
          const load = async (work: Work, way: Way) => {
            await telemetry.turn(way.mode);
            return loadOnce(place, work, { way, traced });
          };
          const endMs = performance.now() + startMs;
          for (let round = 0; performance.now() < endMs; round++) {
            for (const [work, { rounds }] of found) {
              const loads = new Map<string, Load>();
              for (const way of inTurn(round)) loads.set(way.name, await load(work, way));
              if (round >= warmRounds) rounds.push(loads);
            }
            say(`start ${start + 1} of ${starts}, round ${round + 1}`);
          }
          // Last: whoever is profiled is slower.
          for (const [work, { profiles }] of found) {
            for (const way of ways) {
              const shares = await telemetry.profile(async () => {
                for (let loads = 0; loads < profiledLoads; loads++) await load(work, way);
              });
              profiles.set(way.name, [...(profiles.get(way.name) ?? []), shares]);
            }
          }
          say(`start ${start + 1} of ${starts}, profiled`);
        });
      }
      const spans = await sink.spans();
      return [
        ...Array.from(found).flatMap(([work, { rounds }]) => figuresOf(work, rounds)),
        ...Array.from(found).flatMap(([work, { profiles }]) => sharesOf(work, profiles)),
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
  const those = ways.filter(({ everyRounds = 1 }) => round % everyRounds === 0);
  const first = round % those.length;
  const order = [...those.slice(first), ...those.slice(0, first)];
  return Math.floor(round / those.length) % 2 === 0 ? order : order.reverse();
}

/** Starts a cluster, gives it to `work`, and stops it: then each process has sent its last span. */
async function withPlace(env: NodeJS.ProcessEnv, work: (place: Place) => Promise<void>): Promise<void> {
  const pool = createChannelPool({ runtime: createNodeRuntime() });
  const cluster = await startDevCluster({ brokers: 3, env });
  try {
    await work({
      cluster,
      leader: await createLedTopic(cluster, pool, { topic, replicationFactor: 3, settings }),
    });
  } finally {
    pool.close();
    await cluster.stop();
  }
}

async function loadOnce(
  { cluster, leader }: Place,
  { kibibytes, inFlight, before, bytes }: Work,
  { way, traced }: { readonly way: Way; readonly traced: { batches: number } },
): Promise<Load> {
  const batch = batchOf(kibibytes * 1024);
  const traceparentOf = (sequence: number) => {
    if (way.oneIn === undefined || sequence % way.oneIn > 0) return "";
    traced.batches++;
    return `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-01`;
  };
  const produce = (count: number) => produceLoad(leader.channel, { topic, batch, count, inFlight, traceparentOf });
  await produce(Math.ceil(before / batch.length));
  const count = Math.ceil(bytes / batch.length);
  const usedBefore = usedBy(cluster);
  const { rate } = await produce(count);
  return { rate, used: (usedBy(cluster) - usedBefore) / ((count * batch.length) / MB) };
}

/** A ratio is that of loads of one round. */
function figuresOf({ kibibytes, inFlight }: Work, rounds: readonly Round[]): readonly Figure[] {
  const named = (name: string) => `${kibibytes} KiB x ${inFlight}, ${name}`;
  return ways.flatMap(({ name, besides }) => {
    const had = rounds.filter((round) => round.has(name));
    const of = (way: string, kind: keyof Load) => had.flatMap((round) => round.get(way)?.[kind] ?? []);
    return (besides.length === 0 ? [undefined] : besides).flatMap((to) => {
      const beside = (kind: keyof Load) => (to === undefined ? undefined : { to, values: of(to, kind) });
      return [
        figure(named(name), "MB/s", of(name, "rate"), beside("rate")),
        figure(`${named(name)}, processor time of the brokers`, "ms/MB", of(name, "used"), beside("used")),
      ];
    });
  });
}

function sharesOf(
  { kibibytes, inFlight }: Work,
  profiles: ReadonlyMap<string, readonly (readonly BusyShares[])[]>,
): readonly Figure[] {
  return ways.flatMap(({ name }) => {
    const named = `${kibibytes} KiB x ${inFlight}, ${name}`;
    const ofEach = profiles.get(name) ?? [];
    return (["spans", "metrics", "collection"] as const).flatMap((part) => [
      figure(
        `${named}, the leader busy with ${part}`,
        "%",
        ofEach.map((services) => shareOf(services.slice(0, 1), part)),
      ),
      figure(
        `${named}, all services busy with ${part}`,
        "%",
        ofEach.map((services) => shareOf(services, part)),
      ),
    ]);
  });
}

/** In percent of what they were busy with together. */
function shareOf(services: readonly BusyShares[], part: "spans" | "metrics" | "collection"): number {
  const sum = (of: (shares: BusyShares) => number) => services.reduce((total, shares) => total + of(shares), 0);
  return (100 * sum((shares) => shares[part] * shares.busyMs)) / sum(({ busyMs }) => busyMs);
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
