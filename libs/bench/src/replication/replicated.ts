import { createChannelPool } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster } from "@tidemark/testkit";
import { type Bench, type Figure, figure } from "../bench.ts";
import { createLedTopic, type Leader } from "./led-topic.ts";
import { processorMs } from "./processor-time.ts";
import { batchOf, type LoadFigures, produceLoad, recordsIn } from "./produce-load.ts";

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
    "processes and one client, ready-made batches of 200 B records over one stream to the leader; and the processor time " +
    "of each process for each MB.",
  async run(say) {
    const cluster = await startDevCluster({ brokers: 3 });
    const pool = createChannelPool({ runtime: createNodeRuntime() });
    const figures: Figure[] = [];
    try {
      for (const flush of ["sync", "async"] as const) {
        const [three, one] = [`three-${flush}`, `one-${flush}`];
        const leaders = new Map<string, Leader>();
        for (const [topic, replicationFactor] of [
          [three, 3],
          [one, 1],
        ] as const) {
          leaders.set(topic, await createLedTopic(cluster, pool, { topic, replicationFactor, settings: { flush } }));
        }
        for (const work of works) {
          const name = `${work.kibibytes} KiB x ${work.inFlight}, flush=${flush}`;
          say(name);
          figures.push(...(await measure(name, work, { cluster, leaders, three, one })));
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
  of: {
    readonly cluster: DevCluster;
    readonly leaders: ReadonlyMap<string, Leader>;
    readonly three: string;
    readonly one: string;
  },
): Promise<readonly Figure[]> {
  const batch = batchOf(kibibytes * 1024);
  const count = Math.ceil(bytes / batch.length);
  const leaderOf = (topic: string): Leader => {
    const leader = of.leaders.get(topic);
    if (leader === undefined) throw new Error(`Nobody leads ${topic}`);
    return leader;
  };
  const load = (topic: string): Promise<LoadFigures> =>
    produceLoad(leaderOf(topic).channel, { topic, batch, count, inFlight });
  const used: Used[] = [];
  const three: LoadFigures[] = [];
  const one: LoadFigures[] = [];
  // Once before it counts: processes that have just started run what V8 has not compiled yet.
  await load(of.three);
  for (let run = 0; run < runs; run++) {
    const before = usedBy(of.cluster, leaderOf(of.three));
    three.push(await load(of.three));
    used.push(since(before, usedBy(of.cluster, leaderOf(of.three)), (count * batch.length) / MB));
    one.push(await load(of.one));
  }
  const acks = three.flatMap(({ acksMs }) => acksMs).sort((a, b) => a - b);
  const recordsPerMB = (recordsIn(kibibytes * 1024) * MB) / batch.length;
  const at = (share: number) => acks[Math.floor((acks.length - 1) * share)] ?? Number.NaN;
  return [
    figure(
      name,
      "MB/s",
      three.map(({ rate }) => rate),
      { to: "one replica", values: one.map(({ rate }) => rate) },
    ),
    figure(
      `${name}, records`,
      "records/s",
      three.map(({ rate }) => rate * recordsPerMB),
    ),
    figure(`${name}, ack p50`, "ms", [at(0.5)]),
    figure(`${name}, ack p99`, "ms", [at(0.99)]),
    figure(
      `${name}, processor time of the leader`,
      "ms/MB",
      used.map(({ leader }) => leader),
    ),
    figure(
      `${name}, of each follower`,
      "ms/MB",
      used.map(({ followers }) => followers / 2),
    ),
    figure(
      `${name}, of the client`,
      "ms/MB",
      used.map(({ client }) => client),
    ),
  ];
}

/** Milliseconds of processor time, by what the processes are to the topic with three replicas. */
interface Used {
  readonly leader: number;
  readonly followers: number;
  readonly client: number;
}

function usedBy(cluster: DevCluster, { broker }: Leader): Used {
  const of = (each: number) => processorMs(cluster.process(`broker-${each}`).pid ?? 0);
  const followers = [1, 2, 3].filter((each) => each !== broker);
  return {
    leader: of(broker),
    followers: followers.reduce((sum, each) => sum + of(each), 0),
    client: processorMs(process.pid),
  };
}

function since(before: Used, after: Used, megabytes: number): Used {
  return {
    leader: (after.leader - before.leader) / megabytes,
    followers: (after.followers - before.followers) / megabytes,
    client: (after.client - before.client) / megabytes,
  };
}
