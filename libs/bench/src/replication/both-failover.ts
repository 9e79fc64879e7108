import { type Client, createClient } from "@tidemark/client";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { type Bench, distribution, type Figure } from "../bench.ts";
import { type AckedLoad, startAckedLoad } from "./acked-load.ts";

const topic = "both";
const rounds = 10;
/** Acks after they went until that counts as over. */
const acksAfter = 300;
const backends = ["raft", "etcd"] as const;

/** Three controllers on a quorum of their own and on etcd; the partition's leader and the active one go at one moment. */
export const bothFailover: Bench = {
  name: "both-failover",
  about:
    "the longest time without an ack of a producer with acks=all to a partition with three replicas, when its leader " +
    "and the active one of three controllers are killed with SIGKILL at one moment, with the raft and the etcd backend.",
  async run(say) {
    const figures: Figure[] = [];
    for (const backend of backends) figures.push(...(await measure(backend, say)));
    return figures;
  },
};

interface Stage {
  readonly cluster: DevCluster;
  readonly client: Client;
  readonly load: AckedLoad;
}

async function measure(backend: string, say: (line: string) => void): Promise<readonly Figure[]> {
  const cluster = await startDevCluster({ brokers: 3, flags: [`--backend=${backend}`, "--controllers=3"] });
  const client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
  const gaps: number[] = [];
  try {
    await client.admin.createTopic({ topic, partitions: 1, replicationFactor: 3 });
    const load = startAckedLoad(client, topic);
    try {
      await load.acks(acksAfter);
      for (let round = 1; round <= rounds; round++) {
        gaps.push(await goTogether({ cluster, client, load }));
        say(`${backend}, round ${round} of ${rounds}: ${Math.round(gaps.at(-1) ?? 0)} ms without an ack`);
      }
    } finally {
      await load.stop();
    }
  } finally {
    client.close();
    await cluster.stop();
  }
  return distribution(`${backend}, leader and active controller killed`, "ms", gaps);
}

/** The longest pause between two acks. */
async function goTogether({ cluster, client, load }: Stage): Promise<number> {
  const { broker, controller } = await leaders(client);
  const sinceMs = performance.now();
  for (const name of [controller, broker]) cluster.signal(name, "SIGKILL");
  await load.acks(acksAfter);
  const gapMs = load.longestPause(sinceMs);
  for (const name of [controller, broker]) {
    await waitFor(`${name} to be gone`, () => ["failed", "stopped"].includes(cluster.process(name).state));
    await cluster.start(name);
  }
  return gapMs;
}

/** Who leads, once every replica is in sync and every controller lives. */
async function leaders(client: Client): Promise<{ readonly broker: string; readonly controller: string }> {
  return waitFor("everybody to be there", async () => {
    const { topics } = await client.admin.describeTopics({ topics: [topic] });
    const partition = topics[0]?.partitions[0];
    const { leader, members } = await client.metadata.describeQuorum({});
    if (partition?.isr.length !== 3 || partition.leader === undefined) return undefined;
    if (leader === undefined || members.filter(({ alive }) => alive).length < 3) return undefined;
    return { broker: `broker-${partition.leader}`, controller: `controller-${leader}` };
  });
}
