import { type Client, createClient } from "@tidemark/client";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import type { Bench } from "../bench.ts";
import { type AckLoad, distribution, startAckLoad } from "./ack-load.ts";

const topic = "failover";
/** Rounds, each with a killed leader, a killed follower and a leader that is told to stop. */
const rounds = 20;
/** Acks after a broker went until that counts as over. */
const acksAfter = 500;

/** How a broker goes. */
interface Way {
  readonly name: string;
  readonly of: "leader" | "follower";
  readonly signal: "SIGKILL" | "SIGTERM";
}

const ways: readonly Way[] = [
  { name: "leader killed", of: "leader", signal: "SIGKILL" },
  { name: "follower killed", of: "follower", signal: "SIGKILL" },
  { name: "leader stopped", of: "leader", signal: "SIGTERM" },
];

/** Three brokers' processes, a gateway and one client; every broker that goes is started again. */
export const failover: Bench = {
  name: "failover",
  about:
    "the longest time without an ack of a producer with acks=all to one partition with three replicas, when its leader " +
    "or a follower is killed with SIGKILL, or its leader is told to stop; and from the start of such a broker until it " +
    "is in sync.",
  async run(say) {
    const cluster = await startDevCluster({ brokers: 3 });
    const client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
    const gaps = new Map(ways.map((way) => [way, [] as number[]]));
    const back: number[] = [];
    try {
      await client.admin.createTopic({ topic, partitions: 1, replicationFactor: 3 });
      const load = startAckLoad(client, topic);
      try {
        await load.acks(acksAfter);
        for (let round = 1; round <= rounds; round++) {
          for (const way of ways) {
            const { leader, replicas } = await inSync(client);
            const victim = `broker-${way.of === "leader" ? leader : replicas.find((id) => id !== leader)}`;
            const gapMs = await gapOf(load, () => end(cluster, victim, way.signal));
            gaps.get(way)?.push(gapMs);
            back.push(await timeBack(cluster, client, victim));
            say(`round ${round} of ${rounds}: ${way.name}, ${Math.round(gapMs)} ms without an ack`);
          }
        }
      } finally {
        await load.stop();
      }
    } finally {
      client.close();
      await cluster.stop();
    }
    return [
      ...ways.flatMap((way) => distribution(`without an ack, ${way.name}`, gaps.get(way) ?? [])),
      ...distribution("from start to in sync", back),
    ];
  },
};

/** Resolves when the supervisor has seen the broker go. */
async function end(cluster: DevCluster, broker: string, signal: Way["signal"]): Promise<void> {
  cluster.signal(broker, signal);
  await waitFor(`${broker} to be gone`, () => ["failed", "stopped"].includes(cluster.process(broker).state));
}

async function gapOf(load: AckLoad, go: () => Promise<void>): Promise<number> {
  const sinceMs = performance.now();
  await go();
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
