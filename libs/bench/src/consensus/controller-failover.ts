import { type Client, createClient } from "@tidemark/client";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { createDialRelay } from "@tidemark/testkit/dial-relay";
import { type Bench, distribution, type Figure } from "../bench.ts";
import { type AckedLoad, startAckedLoad } from "../replication/acked-load.ts";
import { watchOwnStalls } from "./own-stalls.ts";

const topic = "failover";
const rounds = 20;
/** Acks behind a fault until it counts as over. */
const acksAfter = 500;
/** Between two tries to have something decided, in milliseconds. */
const triesEveryMs = 25;
/** A round in which this process itself stood still for longer tells nothing. */
const stallMaxMs = 200;

const ways = ["killed", "frozen", "isolated", "killed-with-leader"] as const;
/** What befalls the active controller: `killed-with-leader`, together with the leader of the partition. */
type Way = (typeof ways)[number];
type Backend = "raft" | "etcd";
interface Scenario {
  readonly name: string;
  readonly backend: Backend;
  readonly way: Way;
}

const scenarios: readonly Scenario[] = (["raft", "etcd"] as const).flatMap((backend) =>
  ways.map((way) => ({ name: `${backend}-${way}`, backend, way })),
);

/** Three controllers, three brokers and a gateway, each a process; etcd has three members. */
export const controllerFailover: Bench = {
  name: "controller-failover",
  about:
    "with the metadata in an etcd of three members, and kept by three controllers themselves: from SIGKILL or SIGSTOP of " +
    "the active controller, or from when nothing passes to and from it, to the next committed decision, which a client asks " +
    "for through a gateway; and the longest time without an ack of a producer with acks=all meanwhile.",
  scenarios: scenarios.map(({ name }) => name),
  async run(say, only = []) {
    const figures: Figure[] = [];
    for (const scenario of scenarios) {
      if (only.length === 0 || only.includes(scenario.name)) figures.push(...(await measure(scenario, say)));
    }
    return figures;
  },
};

/** A cluster with a client and a load, and what takes its controllers away. */
interface Stage {
  readonly cluster: DevCluster;
  readonly client: Client;
  readonly load: AckedLoad;
  readonly way: Way;
  readonly cutOff: (name: string) => void;
  readonly mend: () => void;
}

async function measure({ name, backend, way }: Scenario, say: (line: string) => void): Promise<readonly Figure[]> {
  const decided: number[] = [];
  const gaps: number[] = [];
  await withStage(backend, way, async (stage) => {
    for (let tries = 0; decided.length < rounds && tries < 2 * rounds; tries++) {
      const stalls = watchOwnStalls();
      const { decidedMs, gapMs } = await fault(stage).finally(stalls.stop);
      const what = `${name}: decided after ${Math.round(decidedMs)} ms, ${Math.round(gapMs)} ms without an ack`;
      if (stalls.longestMs() > stallMaxMs) {
        say(`${what}; does not count: this process stood still for ${Math.round(stalls.longestMs())} ms`);
        continue;
      }
      decided.push(decidedMs);
      gaps.push(gapMs);
      say(`${what}, ${decided.length} of ${rounds}`);
    }
  });
  return [
    ...distribution(`${name}: next decision`, "ms", decided),
    ...distribution(`${name}: without an ack`, "ms", gaps),
  ];
}

async function withStage(backend: Backend, way: Way, work: (stage: Stage) => Promise<void>): Promise<void> {
  // What goes through it takes longer: only what needs it does.
  const relay = way === "isolated" ? await createDialRelay() : undefined;
  const cluster = await startDevCluster({
    brokers: 3,
    flags: [`--backend=${backend}`, "--controllers=3", ...(backend === "etcd" ? ["--etcds=3"] : [])],
    ...(relay === undefined ? {} : { env: relay.env }),
  });
  const client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
  try {
    await client.admin.createTopic({ topic, partitions: 1, replicationFactor: 3 });
    const load = startAckedLoad(client, topic);
    try {
      await load.acks(acksAfter);
      const cutOff = (name: string) => {
        const { pid = 0, endpoints } = cluster.process(name);
        relay?.cutOff({ pid, ports: Object.values(endpoints).map((endpoint) => Number(endpoint.split(":").at(-1))) });
      };
      await work({ cluster, client, load, way, cutOff, mend: () => relay?.mend() });
    } finally {
      await load.stop();
    }
  } finally {
    client.close();
    await cluster.stop();
    await relay?.close();
  }
}

async function fault(stage: Stage): Promise<{ readonly decidedMs: number; readonly gapMs: number }> {
  const { cluster, client, load, way } = stage;
  const { active, leader } = await whole(client);
  const victims = way === "killed-with-leader" ? [active, leader] : [active];
  const sinceMs = performance.now();
  for (const victim of victims) {
    if (way === "isolated") stage.cutOff(victim);
    else cluster.signal(victim, way === "frozen" ? "SIGSTOP" : "SIGKILL");
  }
  const decidedMs = (await nextDecision(client)) - sinceMs;
  await load.acks(acksAfter);
  const gapMs = load.longestPause(sinceMs);
  if (way === "isolated") stage.mend();
  else if (way === "frozen") cluster.signal(active, "SIGCONT");
  else for (const victim of victims) await startAgain(cluster, victim);
  return { decidedMs, gapMs };
}

/**
 * Resolves with when a change was first known to be committed. It is asked for again and again, and nothing waits for
 * what was asked before: who took the change just before he was taken away never answers.
 */
async function nextDecision(client: Client): Promise<number> {
  const abort = new AbortController();
  const tries: Promise<unknown>[] = [];
  let atMs: number | undefined;
  while (atMs === undefined) {
    const request = { topic, set: { "retention.ms": String(86_400_000 + tries.length) } };
    const decided = client.admin.configureTopic(request, { timeoutMs: 20_000, signal: abort.signal }).then(
      () => {
        atMs ??= performance.now();
      },
      () => undefined,
    );
    tries.push(decided);
    await Promise.race([decided, new Promise((resolve) => setTimeout(resolve, triesEveryMs))]);
    if (tries.length * triesEveryMs > 60_000) throw new Error("Nothing was decided for a minute");
  }
  abort.abort();
  await Promise.all(tries);
  return atMs;
}

async function startAgain(cluster: DevCluster, name: string): Promise<void> {
  await waitFor(`${name} to be gone`, () => cluster.process(name).state === "failed");
  await cluster.start(name);
}

/** The active controller and the partition's leader, by name, once all controllers live and all replicas are in sync. */
async function whole(client: Client): Promise<{ readonly active: string; readonly leader: string }> {
  return waitFor("everything to be well", async () => {
    const { leader: active, members } = await client.metadata.describeQuorum({}, { timeoutMs: 2000 });
    const { topics } = await client.admin.describeTopics({ topics: [topic] }, { timeoutMs: 2000 });
    const partition = topics[0]?.partitions[0];
    if (active === undefined || partition?.leader === undefined || partition.isr.length < 3) return undefined;
    if (members.filter(({ alive }) => alive).length < 3) return undefined;
    return { active: `controller-${active}`, leader: `broker-${partition.leader}` };
  });
}
