import { type Client, createClient } from "@tidemark/client";
import { startDevCluster, waitFor } from "@tidemark/testkit";
import { type Bench, type Figure, figure } from "../bench.ts";
import { endToEnd, type LoadFigures, produce, readBack, type Shape, valueBytes } from "./loads.ts";

const runs = 3;
const replicationFactors = [1, 3] as const;
/** To the leader itself, and by the gateway alone. */
const routings = ["direct", "bootstrap"] as const;

const shapes: readonly (readonly [string, Shape])[] = [
  ["one at a time", { kind: "rounds", atOnce: 1 }],
  ["100 at a time", { kind: "rounds", atOnce: 100 }],
  ["saturated", { kind: "saturated" }],
];

interface Work {
  readonly name: string;
  /** What one latency speaks of. */
  readonly of: string;
  run(client: Client, topic: string, shape: Shape, durationMs: number): Promise<LoadFigures>;
}

/** In this order on one topic: what is consumed is what was produced in that shape, in the batches that came of it. */
const works: readonly Work[] = [
  { name: "produce", of: "acks", run: produce },
  { name: "consume", of: "batch", run: (client, topic, _shape, durationMs) => readBack(client, topic, durationMs) },
  { name: "end to end", of: "records", run: endToEnd },
];

/** How long each load lasts in a run, in milliseconds. */
const durationMs = 1000;
const warmUpMs = 300;

/** Three brokers' processes, a gateway and one client with the SDK. */
export const clientBench: Bench = {
  name: "client",
  about:
    `the SDK (acks=all, idempotent, flush=sync) with records of ${valueBytes} B made one by one, one partition: producing, ` +
    "consuming and end to end, one record at a time, 100 at a time and saturated, to the leader directly and through the " +
    "gateway, with one and three replicas.",
  async run(say) {
    const cluster = await startDevCluster({ brokers: 3 });
    const bootstrap = cluster.endpoint("gateway-1");
    const clients = await Promise.all(routings.map((routing) => createClient({ bootstrap, routing })));
    const measured = new Map<string, LoadFigures[]>();
    try {
      for (let run = 0; run <= runs; run++) {
        say(run === 0 ? "warming up" : `run ${run} of ${runs}`);
        for (const replicationFactor of replicationFactors) {
          for (const [index, client] of clients.entries()) {
            const where = placeOf(replicationFactor, routings[index] === "direct" ? "direct" : "gateway");
            for (const [shapeName, shape] of shapes) {
              const topic = `bench-${run}-${index}-${replicationFactor}-${shapeName.replaceAll(" ", "-")}`;
              await createTopic(client, topic, replicationFactor);
              for (const work of works) {
                const figures = await work.run(client, topic, shape, run === 0 ? warmUpMs : durationMs);
                const key = keyOf(work, shapeName, where);
                if (run > 0) measured.set(key, [...(measured.get(key) ?? []), figures]);
              }
            }
          }
        }
      }
    } finally {
      for (const client of clients) client.close();
      await cluster.stop();
    }
    const places = replicationFactors.flatMap((factor) => ["direct", "gateway"].map((route) => placeOf(factor, route)));
    return works.flatMap((work) =>
      shapes.flatMap(([shapeName]) =>
        places.flatMap((place) => {
          const key = keyOf(work, shapeName, place);
          return figuresOf(key, work, measured.get(key) ?? []);
        }),
      ),
    );
  },
};

function placeOf(replicationFactor: number, route: string): string {
  return `RF ${replicationFactor}, ${route}`;
}

function keyOf({ name }: Work, shapeName: string, place: string): string {
  return `${name}, ${shapeName}: ${place}`;
}

function figuresOf(name: string, { of }: Work, all: readonly LoadFigures[]): readonly Figure[] {
  const at = (share: number) =>
    all.map(({ latenciesMs }) => {
      const sorted = [...latenciesMs].sort((a, b) => a - b);
      return sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
    });
  return [
    figure(
      name,
      "records/s",
      all.map(({ recordsPerSecond }) => recordsPerSecond),
    ),
    figure(`  ${of}, p50`, "ms", at(0.5)),
    figure(`  ${of}, p99`, "ms", at(0.99)),
  ];
}

async function createTopic(client: Client, topic: string, replicationFactor: number): Promise<void> {
  await client.admin.createTopic({ topic, partitions: 1, replicationFactor });
  await waitFor(`${topic} to be in sync`, async () => {
    const { topics } = await client.admin.describeTopics({ topics: [topic] });
    return topics[0]?.partitions[0]?.isr.length === replicationFactor;
  });
}
