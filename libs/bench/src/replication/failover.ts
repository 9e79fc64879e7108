import { type Client, createClient } from "@tidemark/client";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { type Bench, type Figure, figure } from "../bench.ts";

const topic = "failover";
/** Kills of each kind. */
const kills = 20;
/** Records on their way at once. */
const inFlight = 20;
/** Acks after a kill until it counts as over. */
const acksAfter = 500;

/** Three brokers' processes, a gateway and one client; every broker that is killed is started again. */
export const failover: Bench = {
  name: "failover",
  about:
    "the longest time without an ack of a producer with acks=all to one partition with three replicas, when a broker " +
    "is killed with SIGKILL: its leader, or a follower; and from the start of a killed broker until it is in sync.",
  async run(say) {
    const cluster = await startDevCluster({ brokers: 3 });
    const client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
    const gaps = { leader: [] as number[], follower: [] as number[], back: [] as number[] };
    try {
      await client.admin.createTopic({ topic, partitions: 1, replicationFactor: 3 });
      const load = startLoad(client);
      try {
        await load.acks(acksAfter);
        for (let kill = 0; kill < 2 * kills; kill++) {
          const { leader, replicas } = await inSync(client);
          const kind = kill % 2 === 0 ? "leader" : "follower";
          const victim = `broker-${kind === "leader" ? leader : replicas.find((id) => id !== leader)}`;
          gaps[kind].push(await gapOf(load, () => cluster.kill(victim)));
          gaps.back.push(await timeBack(cluster, client, victim));
          say(`kill ${kill + 1} of ${2 * kills}: ${kind}, ${Math.round(gaps[kind].at(-1) ?? 0)} ms without an ack`);
        }
      } finally {
        await load.stop();
      }
    } finally {
      client.close();
      await cluster.stop();
    }
    return [
      ...distribution("without an ack, leader killed", gaps.leader),
      ...distribution("without an ack, follower killed", gaps.follower),
      ...distribution("from start to in sync", gaps.back),
    ];
  },
};

interface Load {
  /** Resolves after so many more acks. */
  acks(count: number): Promise<void>;
  /** The longest pause between two acks since `sinceMs`, in milliseconds. */
  longestPause(sinceMs: number): number;
  stop(): Promise<void>;
}

function startLoad(client: Client): Load {
  const producer = client.createProducer();
  const value = new Uint8Array(188).fill(120);
  const ackedAt: number[] = [];
  let isOver = false;
  const work = async () => {
    while (!isOver) {
      const { kind } = await producer.send(topic, { value, partition: 0 });
      if (kind === "acknowledged") ackedAt.push(performance.now());
    }
  };
  const workers = Array.from({ length: inFlight }, work);
  return {
    async acks(count) {
      const until = ackedAt.length + count;
      await waitFor("acks", () => ackedAt.length >= until);
    },
    longestPause(sinceMs) {
      const from = ackedAt.findLastIndex((at) => at < sinceMs);
      let longest = 0;
      for (let index = Math.max(1, from + 1); index < ackedAt.length; index++) {
        longest = Math.max(longest, (ackedAt[index] ?? 0) - (ackedAt[index - 1] ?? 0));
      }
      return longest;
    },
    async stop() {
      isOver = true;
      await Promise.all(workers);
      await producer.close();
    },
  };
}

async function gapOf(load: Load, kill: () => Promise<void>): Promise<number> {
  const sinceMs = performance.now();
  await kill();
  await load.acks(acksAfter);
  return load.longestPause(sinceMs);
}

async function timeBack(cluster: DevCluster, client: Client, broker: string): Promise<number> {
  const startedAt = performance.now();
  await cluster.start(broker);
  await inSync(client);
  return performance.now() - startedAt;
}

/** The partition, once all three replicas are in sync. */
async function inSync(client: Client) {
  return waitFor("three replicas in sync", async () => {
    const { topics } = await client.admin.describeTopics({ topics: [topic] });
    const partition = topics[0]?.partitions[0];
    return partition?.isr.length === 3 ? partition : undefined;
  });
}

function distribution(name: string, values: readonly number[]): readonly Figure[] {
  const sorted = [...values].sort((a, b) => a - b);
  const p90 = sorted[Math.ceil(sorted.length * 0.9) - 1] ?? Number.NaN;
  return [figure(name, "ms", values), figure(`${name}, p90`, "ms", [p90])];
}
