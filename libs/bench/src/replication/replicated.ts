import { AdminService } from "@tidemark/proto/admin/v1";
import { createChannelPool, createRpcClient, type RpcChannel } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { type Bench, type Figure, figure } from "../bench.ts";
import { batchOf, type LoadFigures, produceLoad } from "./produce-load.ts";

const runs = 3;
const MB = 1e6;
/** Size of a batch in KiB, how many are in flight, and how much is produced in one run. */
const works = [
  { kibibytes: 16, inFlight: 5, bytes: 16 * MB },
  { kibibytes: 16, inFlight: 32, bytes: 32 * MB },
  { kibibytes: 64, inFlight: 5, bytes: 48 * MB },
  { kibibytes: 256, inFlight: 5, bytes: 96 * MB },
  { kibibytes: 1024, inFlight: 5, bytes: 128 * MB },
] as const;

/** Three brokers' processes and one client. */
export const replicated: Bench = {
  name: "replicated",
  about:
    "produce with acks=all to one partition with three replicas (one with one replica beside it), three broker " +
    "processes and one client, ready-made batches of 200 B records over one stream to the leader.",
  async run(say) {
    const cluster = await startDevCluster({ brokers: 3 });
    const pool = createChannelPool({ runtime: createNodeRuntime() });
    const figures: Figure[] = [];
    try {
      for (const flush of ["sync", "async"] as const) {
        const [three, one] = [`three-${flush}`, `one-${flush}`];
        const leaders = new Map<string, RpcChannel>();
        for (const [topic, replicationFactor] of [
          [three, 3],
          [one, 1],
        ] as const) {
          leaders.set(
            topic,
            pool.get(await createTopic(cluster, pool, { topic, replicationFactor, flush }), "produce"),
          );
        }
        for (const work of works) {
          const name = `${work.kibibytes} KiB x ${work.inFlight}, flush=${flush}`;
          say(name);
          figures.push(...(await measure(name, work, { leaders, three, one })));
        }
      }
    } finally {
      pool.close();
      await cluster.stop();
    }
    return figures;
  },
};

async function measure(
  name: string,
  { kibibytes, inFlight, bytes }: (typeof works)[number],
  of: { readonly leaders: ReadonlyMap<string, RpcChannel>; readonly three: string; readonly one: string },
): Promise<readonly Figure[]> {
  const batch = batchOf(kibibytes * 1024);
  const count = Math.ceil(bytes / batch.length);
  const load = (topic: string): Promise<LoadFigures> => {
    const channel = of.leaders.get(topic);
    if (channel === undefined) throw new Error(`Nobody leads ${topic}`);
    return produceLoad(channel, { topic, batch, count, inFlight });
  };
  const three: LoadFigures[] = [];
  const one: LoadFigures[] = [];
  for (let run = 0; run < runs; run++) {
    three.push(await load(of.three));
    one.push(await load(of.one));
  }
  const acks = three.flatMap(({ acksMs }) => acksMs).sort((a, b) => a - b);
  const at = (share: number) => acks[Math.floor((acks.length - 1) * share)] ?? Number.NaN;
  return [
    figure(
      name,
      "MB/s",
      three.map(({ rate }) => rate),
      { to: "one replica", values: one.map(({ rate }) => rate) },
    ),
    figure(`${name}, ack p50`, "ms", [at(0.5)]),
    figure(`${name}, ack p99`, "ms", [at(0.99)]),
  ];
}

/** Resolves with where the topic's leader takes produce, once it has acknowledged something. */
async function createTopic(
  cluster: DevCluster,
  pool: ReturnType<typeof createChannelPool>,
  { topic, replicationFactor, flush }: { topic: string; replicationFactor: number; flush: string },
): Promise<string> {
  const admin = createRpcClient(AdminService, pool.get(cluster.endpoint("gateway-1"), "admin"));
  await admin.createTopic({ topic, partitions: 1, replicationFactor, settings: { flush } });
  const leader = await waitFor(`${topic} to be led`, async () => {
    const { topics } = await admin.describeTopics({ topics: [topic] });
    const partition = topics[0]?.partitions[0];
    return partition?.isr.length === replicationFactor ? partition.leader : undefined;
  });
  const endpoint = cluster.endpoint(`broker-${leader}`);
  const once = { topic, batch: batchOf(1024), count: 1, inFlight: 1 };
  await waitFor(`${topic} to take records`, async () => produceLoad(pool.get(endpoint, "produce"), once));
  return endpoint;
}
