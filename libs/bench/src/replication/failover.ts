import { type Client, createClient } from "@tidemark/client";
import { LogService } from "@tidemark/proto/log/v1";
import { type ChannelPool, createChannelPool, createRpcClient } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { type Bench, distribution, type Figure } from "../bench.ts";
import { type AckedLoad, startAckedLoad } from "./acked-load.ts";

const topic = "failover";
/** Has one replica on each broker, and no other. */
const ownTopic = "own";
/** Rounds, each with every way of going. */
const rounds = 20;
/** Acks after a broker went until that counts as over. */
const acksAfter = 500;

/** How a broker goes. */
interface Way {
  readonly name: string;
  readonly of: "leader" | "follower";
  readonly signal: "SIGKILL" | "SIGTERM";
  /** Started again as soon as it is gone, and not once the others have gone on. */
  readonly atOnce?: boolean;
}

const ways: readonly Way[] = [
  { name: "leader killed", of: "leader", signal: "SIGKILL" },
  { name: "follower killed", of: "follower", signal: "SIGKILL" },
  { name: "leader killed and started at once", of: "leader", signal: "SIGKILL", atOnce: true },
  { name: "leader stopped", of: "leader", signal: "SIGTERM" },
];

interface Stage {
  readonly cluster: DevCluster;
  readonly client: Client;
  readonly pool: ChannelPool;
  readonly load: AckedLoad;
}

/** What was measured of one way, in milliseconds. */
interface Measured {
  readonly gaps: number[];
  readonly untilAck: number[];
  readonly untilInSync: number[];
}

/** Three brokers' processes, a gateway and one client; every broker that goes is started again. */
export const failover: Bench = {
  name: "failover",
  about:
    "the longest time without an ack of a producer with acks=all to one partition with three replicas, when its leader " +
    "or a follower is killed with SIGKILL, or its leader is told to stop; and from the start of such a broker's process " +
    "until it acknowledges itself, and until it is in sync.",
  async run(say) {
    const cluster = await startDevCluster({ brokers: 3 });
    const client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
    const pool = createChannelPool({ runtime: createNodeRuntime() });
    const measured = new Map(ways.map((way): [Way, Measured] => [way, { gaps: [], untilAck: [], untilInSync: [] }]));
    try {
      await client.admin.createTopic({ topic, partitions: 1, replicationFactor: 3 });
      await client.admin.createTopic({ topic: ownTopic, partitions: 3, replicationFactor: 1 });
      const load = startAckedLoad(client, topic);
      try {
        await load.acks(acksAfter);
        for (let round = 1; round <= rounds; round++) {
          for (const [way, into] of measured) {
            await goAndComeBack({ cluster, client, pool, load }, way, into);
            const gapMs = Math.round(into.gaps.at(-1) ?? Number.NaN);
            say(`round ${round} of ${rounds}: ${way.name}, ${gapMs} ms without an ack`);
          }
        }
      } finally {
        await load.stop();
      }
    } finally {
      client.close();
      pool.close();
      await cluster.stop();
    }
    return [...measured].flatMap(([way, { gaps, untilAck, untilInSync }]): Figure[] => [
      ...distribution(`without an ack, ${way.name}`, "ms", gaps),
      ...distribution("  from its start to its own ack", "ms", untilAck),
      ...distribution("  from its start to in sync", "ms", untilInSync),
    ]);
  },
};

async function goAndComeBack(stage: Stage, way: Way, into: Measured): Promise<void> {
  const { cluster, client, load } = stage;
  const { leader, replicas } = await inSync(client);
  const id = way.of === "leader" ? leader : replicas.find((each) => each !== leader);
  const broker = `broker-${id}`;
  const sinceMs = performance.now();
  cluster.signal(broker, way.signal);
  await waitFor(`${broker} to be gone`, () => ["failed", "stopped"].includes(cluster.process(broker).state));
  if (way.atOnce !== true) await load.acks(acksAfter);
  const startedMs = performance.now();
  const started = cluster.start(broker);
  const acked = ownAck(stage, id ?? 0).then(() => into.untilAck.push(performance.now() - startedMs));
  await started;
  await inSync(client);
  into.untilInSync.push(performance.now() - startedMs);
  await acked;
  if (way.atOnce === true) await load.acks(acksAfter);
  into.gaps.push(load.longestPause(sinceMs));
}

/** Resolves when a broker acknowledges a record of a partition that it alone has. */
async function ownAck({ cluster, client, pool }: Stage, broker: number): Promise<void> {
  const { topics } = await client.admin.describeTopics({ topics: [ownTopic] });
  const own = topics[0]?.partitions.find(({ replicas }) => replicas[0] === broker)?.partition;
  if (own === undefined) throw new Error(`Broker ${broker} has no partition of its own`);
  const log = createRpcClient(LogService, pool.get(cluster.endpoint(`broker-${broker}`), "produce"));
  const record = { valueForm: { case: "text", value: "back" } as const };
  await waitFor("an ack", async () => {
    const { results } = await log.produce({ topic: ownTopic, partition: own, records: [record] }, { timeoutMs: 500 });
    return results.length > 0;
  });
}

/** The partition, once all three replicas are in sync. */
async function inSync(client: Client) {
  return waitFor("three replicas in sync", async () => {
    const { topics } = await client.admin.describeTopics({ topics: [topic] });
    const partition = topics[0]?.partitions[0];
    return partition?.isr.length === 3 ? partition : undefined;
  });
}
