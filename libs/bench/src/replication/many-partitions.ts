import { type Client, createClient } from "@tidemark/client";
import { startDevCluster, waitFor } from "@tidemark/testkit";
import { type Bench, figure } from "../bench.ts";

const topic = "many";
const partitions = 1000;
const replicationFactor = 3;
const runs = 3;
/** Every partition with three replicas in sync takes its time after a broker's return. */
const patienceMs = 120_000;

/** Three brokers' processes, a gateway and one client. */
export const manyPartitions: Bench = {
  name: "many-partitions",
  about:
    `a topic of ${partitions} partitions with three replicas on three brokers: from its creation until every partition ` +
    "has all replicas in sync; from kill -9 of a broker until none of its partitions is without a leader; from the start " +
    "of its process until it is in sync everywhere.",
  async run(say) {
    const created: number[] = [];
    const moved: number[] = [];
    const back: number[] = [];
    for (let run = 1; run <= runs; run++) {
      const cluster = await startDevCluster({ brokers: 3 });
      const client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
      try {
        created.push(
          await secondsUntil(() => client.admin.createTopic({ topic, partitions, replicationFactor }), client, isWhole),
        );
        const victim = (await partitionsOf(client))[0]?.leader ?? 0;
        const isMoved = (all: Partitions) => all.every(({ leader }) => leader !== undefined && leader !== victim);
        moved.push(await secondsUntil(async () => cluster.signal(`broker-${victim}`, "SIGKILL"), client, isMoved));
        await waitFor("its end", () => cluster.process(`broker-${victim}`).state === "failed");
        back.push(await secondsUntil(() => cluster.start(`broker-${victim}`), client, isWhole));
        say(`run ${run} of ${runs}: made in ${created.at(-1)?.toFixed(2)} s, moved in ${moved.at(-1)?.toFixed(2)} s`);
      } finally {
        client.close();
        await cluster.stop();
      }
    }
    return [
      figure("created, all replicas in sync", "s", created),
      figure("broker killed, all leaders moved", "s", moved),
      figure("broker started, all replicas in sync", "s", back),
    ];
  },
};

type Partitions = Awaited<ReturnType<typeof partitionsOf>>;

function isWhole(all: Partitions): boolean {
  return all.length === partitions && all.every(({ isr }) => isr.length === replicationFactor);
}

async function partitionsOf(client: Client) {
  const { topics } = await client.admin.describeTopics({ topics: [topic] });
  return topics[0]?.partitions ?? [];
}

/** Seconds from the beginning of `work` until the partitions are as wanted. */
async function secondsUntil(
  work: () => Promise<unknown>,
  client: Client,
  holds: (all: Partitions) => boolean,
): Promise<number> {
  const startedMs = performance.now();
  await work();
  await waitFor("the partitions", async () => holds(await partitionsOf(client)), patienceMs);
  return (performance.now() - startedMs) / 1000;
}
