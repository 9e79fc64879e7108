/**
 * A cluster under load on three controllers of its own: the active one is isolated, frozen, and killed and frozen together
 * with the partition's leader. Everything reaches everything else through a relay, which is how one is cut off.
 */
import { type Client, createClient, Reason, TidemarkError } from "@tidemark/client";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { createDialRelay, type DialRelay } from "@tidemark/testkit/dial-relay";
import { afterAll, beforeAll, expect, it } from "vitest";
import { howItStands } from "./how-it-stands.ts";
import { type Load, missingOf, startLoad } from "./load.ts";

let relay: DialRelay;
let cluster: DevCluster;
let client: Client;
let load: Load;
let decisions = 0;

beforeAll(async () => {
  relay = await createDialRelay();
  const env = { ...relay.env, TIDEMARK_LOG_LEVEL: "debug" };
  cluster = await startDevCluster({ brokers: 2, flags: ["--backend=raft", "--controllers=3"], env });
  client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
  load = await startLoad(client, 2);
});

afterAll(async () => {
  await load.stop();
  client.close();
  await cluster.stop();
  await relay.close();
});

/** Something is decided and committed, by whoever is the active controller then. */
async function decide(what: string): Promise<void> {
  decisions += 1;
  const topic = `decided-${decisions}`;
  await waitFor(`a decision ${what}`, async () => {
    const made = client.admin.createTopic({ topic, partitions: 1, replicationFactor: 1 }, { timeoutMs: 5000 });
    return made.then(
      () => true,
      (error: unknown) => error instanceof TidemarkError && error.reason === Reason.TOPIC_EXISTS,
    );
  });
}

/** Waits as `waitFor` does; in vain, it says what there is instead. */
async function awaited<Value>(what: string, look: () => Promise<Value | undefined | false>): Promise<Value> {
  try {
    return await waitFor(what, look);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`${why}\n${await howItStands(cluster, client, "load")}`, { cause: error });
  }
}

/** The active controller, once all three live. */
const whole = () =>
  awaited("three living controllers, one of them active", async () => {
    const { leader, controllerEpoch, members } = await client.metadata.describeQuorum({}, { timeoutMs: 5000 });
    return leader !== undefined && members.every(({ alive }) => alive)
      ? { active: leader, controllerEpoch }
      : undefined;
  });

const partition = async () =>
  (await client.admin.describeTopics({ topics: ["load"] }, { timeoutMs: 5000 })).topics[0]?.partitions[0];

/** Of both replicas in sync, the broker that leads. */
async function leader(): Promise<string> {
  await awaited("both replicas in sync", async () => (await partition())?.isr.length === 2);
  return `broker-${(await partition())?.leader}`;
}

async function expectNothingLost(): Promise<void> {
  const count = load.acked.length;
  const read = async (args: readonly string[]) => (await cluster.tidemark(args)).stdout.toString();
  expect(await missingOf(load.acked.slice(0, count), read)).toEqual([]);
}

it("39 one that is isolated stops believing, refuses, and follows the one that took its place", async () => {
  const { active, controllerEpoch } = await whole();
  const isolated = cluster.process(`controller-${active}`);
  const ports = Object.values(isolated.endpoints).map((endpoint) => Number(endpoint.split(":").at(-1)));
  // This test reaches it all the same.
  const direct = await createClient({ bootstrap: cluster.endpoint(`controller-${active}`) });
  relay.cutOff({ pid: isolated.pid ?? 0, ports });
  await load.goesOn("without the active controller");
  await decide("by another one");
  const next = await client.metadata.describeQuorum({});
  expect(next.leader).not.toBe(active);
  expect(next.controllerEpoch).toBeGreaterThan(controllerEpoch);
  const late = direct.admin.createTopic({ topic: "late", partitions: 1, replicationFactor: 1 }, { timeoutMs: 5000 });
  await expect(late).rejects.toMatchObject({ reason: Reason.NOT_CONTROLLER });
  relay.mend();
  await waitFor("it to follow", async () => (await direct.metadata.describeQuorum({})).leader === next.leader);
  expect((await client.admin.listTopics({})).topics.map(({ name }) => name)).not.toContain("late");
  direct.close();
});

it("30 one that is frozen keeps nobody waiting once another has taken its place", async () => {
  const { active, controllerEpoch } = await whole();
  cluster.signal(`controller-${active}`, "SIGSTOP");
  // On its way to the frozen one before anybody knows.
  const [cluster1] = await Promise.all([client.admin.describeCluster({}, { timeoutMs: 10_000 }), decide("meanwhile")]);
  expect(cluster1.controller?.controllerEpoch).toBeGreaterThan(controllerEpoch);
  await load.goesOn("while the former active controller is frozen");
  cluster.signal(`controller-${active}`, "SIGCONT");
  expect((await whole()).active).not.toBe(active);
});

it.each(["SIGKILL", "SIGSTOP"] as const)(
  "a partition has a leader again when its own and the active controller get %s together, and nothing acknowledged is lost",
  async (signal) => {
    const victims = [`controller-${(await whole()).active}`, await leader()];
    for (const victim of victims) cluster.signal(victim, signal);
    await load.goesOn("from the next leader");
    await decide("by the next controller");
    await expectNothingLost();
    for (const victim of victims) {
      if (signal === "SIGSTOP") cluster.signal(victim, "SIGCONT");
      else {
        await waitFor(`${victim} to be seen dead`, () => cluster.process(victim).state === "failed");
        await cluster.start(victim);
      }
    }
    await whole();
    await leader();
    await expectNothingLost();
  },
);
