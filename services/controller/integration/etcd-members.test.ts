/** A cluster under load whose etcd, controllers and leaders are killed and frozen: acks go on, and nothing decided is lost. */
import { type Client, createClient } from "@tidemark/client";
import { etcdMembers } from "@tidemark/consensus-etcd";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Load, missingOf, startLoad } from "./load.ts";

const { clock } = createNodeRuntime();
const members = ["etcd-1", "etcd-2", "etcd-3"] as const;
let cluster: DevCluster;
let client: Client;
let load: Load;
const decided: string[] = [];
let attempts = 0;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 2, flags: ["--backend=etcd", "--controllers=3", "--etcds=3"] });
  client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
  load = await startLoad(client);
});

afterAll(async () => {
  await load.stop();
  client.close();
  await cluster.stop();
});

/** Something is decided and committed, by whoever is the active controller then. What has no answer may exist as well. */
async function decide(what: string): Promise<void> {
  await waitFor(`a decision ${what}`, async () => {
    const topic = `decided-${attempts++}`;
    await client.admin.createTopic({ topic, partitions: 1, replicationFactor: 1 }, { timeoutMs: 5000 });
    return decided.push(topic);
  });
}

const topics = async () => (await client.admin.listTopics({})).topics.map(({ name }) => name);

const activeController = () =>
  waitFor("an active controller", async () => (await client.metadata.describeQuorum({}, { timeoutMs: 5000 })).leader);

/** The member that leads etcd, of those that answer. */
function leadingMember(but: readonly string[] = []): Promise<string> {
  return waitFor("a member that leads", async () => {
    for (const name of members) {
      if (but.includes(name) || cluster.process(name).state !== "ready") continue;
      const options = { signal: AbortSignal.timeout(5000) };
      const answer = await fetch(`http://${cluster.endpoint(name)}/metrics`, options).then((found) => found.text());
      if (answer.includes("etcd_server_is_leader 1")) return name;
    }
    return undefined;
  });
}

async function compact(name: string): Promise<void> {
  const endpoints = [cluster.endpoint(name)];
  const stubs = etcdMembers({ endpoints, clock, callTimeoutMs: 2000 }).connect(endpoints[0] ?? "");
  const { revision } = await stubs.range({ key: "/tidemark/append" });
  await stubs.compact(revision);
  stubs.close();
}

it("33 acks and decisions go on while a member of etcd is killed, its leader is killed, and frozen", async () => {
  const leader = await leadingMember();
  const follower = members.find((name) => name !== leader) ?? leader;
  await cluster.kill(follower);
  await load.goesOn("without a member of etcd");
  await decide("without a member of etcd");
  await cluster.start(follower);

  await cluster.kill(leader);
  await load.goesOn("without the leader of etcd");
  await decide("behind the death of etcd's leader");
  await cluster.start(leader);

  const frozen = await leadingMember();
  cluster.signal(frozen, "SIGSTOP");
  await load.goesOn("while the leader of etcd is frozen");
  const next = await leadingMember([frozen]);
  expect(next).not.toBe(frozen);
  await decide("while the former leader of etcd is frozen");
  await compact(next);
  cluster.signal(frozen, "SIGCONT");

  await cluster.kill(frozen);
  await cluster.start(frozen);
  await decide("behind a restart with compaction");
  expect(await topics()).toEqual(expect.arrayContaining(decided));
});

it("acks go on without the active controller, and another decides", async () => {
  const leader = await activeController();
  const { controllerEpoch } = await client.metadata.describeQuorum({});
  await cluster.kill(`controller-${leader}`);
  await load.goesOn("without the active controller");
  await decide("by the next controller");
  expect(await activeController()).not.toBe(leader);
  expect((await client.metadata.describeQuorum({})).controllerEpoch).toBeGreaterThan(controllerEpoch);
  await cluster.start(`controller-${leader}`);
});

it("a partition has a leader again when its own and the active controller die together, and nothing acknowledged is lost", async () => {
  const active = await activeController();
  const partition = async () => (await client.admin.describeTopics({ topics: ["load"] })).topics[0]?.partitions[0];
  await waitFor("both replicas in sync", async () => (await partition())?.isr.length === 2);
  const broker = `broker-${(await partition())?.leader}`;
  cluster.signal(`controller-${active}`, "SIGKILL");
  cluster.signal(broker, "SIGKILL");
  await load.goesOn("from the next leader");
  await decide("behind both deaths");
  const count = load.acked.length;
  const read = async (args: readonly string[]) => (await cluster.tidemark(args)).stdout.toString();
  expect(await missingOf(load.acked.slice(0, count), read)).toEqual([]);
});
