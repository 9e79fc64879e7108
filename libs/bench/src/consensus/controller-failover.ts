import { type Client, createClient } from "@tidemark/client";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { type Bench, distribution, type Figure } from "../bench.ts";
import { type AckedLoad, startAckedLoad } from "../replication/acked-load.ts";

const topic = "failover";
const rounds = 15;
/** Acks behind a fault until it counts as over. */
const acksAfter = 500;

/** What befalls the active controller. */
type Way = "killed" | "frozen" | "killed with the partition's leader";
const ways: readonly Way[] = ["killed", "frozen", "killed with the partition's leader"];

/** Three controllers and three brokers, each a process; etcd has three members. */
export const controllerFailover: Bench = {
  name: "controller-failover",
  about:
    "with the metadata in an etcd of three members, and kept by three controllers themselves: from SIGKILL or SIGSTOP of " +
    "the active controller to the next committed decision, a topic, and the longest time without an ack of a producer " +
    "with acks=all meanwhile.",
  async run(say) {
    const figures: Figure[] = [];
    for (const backend of ["etcd", "raft"] as const) figures.push(...(await measure(backend, say)));
    return figures;
  },
};

async function measure(backend: "etcd" | "raft", say: (line: string) => void): Promise<readonly Figure[]> {
  const etcds = backend === "etcd" ? ["--etcds=3"] : [];
  const cluster = await startDevCluster({ brokers: 3, flags: [`--backend=${backend}`, "--controllers=3", ...etcds] });
  const client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
  const decisions = new Map(ways.map((way) => [way, [] as number[]]));
  const gaps = new Map(ways.map((way) => [way, [] as number[]]));
  try {
    await client.admin.createTopic({ topic, partitions: 1, replicationFactor: 3 });
    const load = startAckedLoad(client, topic);
    try {
      await load.acks(acksAfter);
      for (let round = 1; round <= rounds; round++) {
        for (const way of ways) {
          const { decidedMs, gapMs } = await fault(cluster, { client, load, way });
          decisions.get(way)?.push(decidedMs);
          gaps.get(way)?.push(gapMs);
          say(
            `${backend}, ${round} of ${rounds}: ${way}, decided after ${Math.round(decidedMs)} ms, ${Math.round(gapMs)} ms without an ack`,
          );
        }
      }
    } finally {
      await load.stop();
    }
  } finally {
    client.close();
    await cluster.stop();
  }
  return ways.flatMap((way) => [
    ...distribution(`${backend}: next decision, ${way}`, "ms", decisions.get(way) ?? []),
    ...distribution(`${backend}: without an ack, ${way}`, "ms", gaps.get(way) ?? []),
  ]);
}

let decisions = 0;

async function fault(
  cluster: DevCluster,
  { client, load, way }: { readonly client: Client; readonly load: AckedLoad; readonly way: Way },
): Promise<{ readonly decidedMs: number; readonly gapMs: number }> {
  const { active, leader } = await whole(client);
  const victims = way === "killed with the partition's leader" ? [active, leader] : [active];
  const signal = way === "frozen" ? "SIGSTOP" : "SIGKILL";
  const sinceMs = performance.now();
  for (const victim of victims) cluster.signal(victim, signal);
  decisions += 1;
  const name = `decided-${decisions}`;
  await waitFor("a topic", async () => {
    await client.admin.createTopic({ topic: name, partitions: 1, replicationFactor: 1 }, { timeoutMs: 1000 });
    return true;
  });
  const decidedMs = performance.now() - sinceMs;
  await load.acks(acksAfter);
  const gapMs = load.longestPause(sinceMs);
  if (way === "frozen") cluster.signal(active, "SIGCONT");
  else for (const victim of victims) await startAgain(cluster, victim);
  return { decidedMs, gapMs };
}

async function startAgain(cluster: DevCluster, name: string): Promise<void> {
  await waitFor(`${name} to be gone`, () => cluster.process(name).state === "failed");
  await cluster.start(name);
}

/** The active controller and the partition's leader, by name, once all controllers live and all replicas are in sync. */
async function whole(client: Client): Promise<{ readonly active: string; readonly leader: string }> {
  return waitFor("everything to be well", async () => {
    const { leader: active, members } = await client.metadata.describeQuorum({}, { timeoutMs: 1000 });
    const { topics } = await client.admin.describeTopics({ topics: [topic] }, { timeoutMs: 1000 });
    const partition = topics[0]?.partitions[0];
    if (active === undefined || partition?.leader === undefined || partition.isr.length < 3) return undefined;
    if (members.filter(({ alive }) => alive).length < 3) return undefined;
    return { active: `controller-${active}`, leader: `broker-${partition.leader}` };
  });
}
