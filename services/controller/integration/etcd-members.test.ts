/**
 * A cluster under load, three of each, whose etcd, controllers and leaders are killed and frozen: acks go on, nothing
 * decided is lost, and no controller epoch has two leaders.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, createClient } from "@tidemark/client";
import { etcdMembers, type RangeRequest, type RangeResponse } from "@tidemark/consensus-etcd";
import { createNodeRuntime } from "@tidemark/runtime";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Load, missingOf, startLoad } from "./load.ts";

const { clock } = createNodeRuntime();
const members = ["etcd-1", "etcd-2", "etcd-3"] as const;
let cluster: DevCluster;
let client: Client;
let load: Load;
/** What was asked for, and of that what was said to be decided. */
const asked: string[] = [];
const decided: string[] = [];
/** Longer than the lease of a controller, which is three seconds. */
const frozenSeconds = Number(process.env["TIDEMARK_TEST_FROZEN_SECONDS"] ?? 4);
/** By controller epoch, who was said to lead it, as the gateway was told. */
const said = new Map<number, Set<number>>();

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 3, flags: ["--backend=etcd", "--controllers=3", "--etcds=3"] });
  client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
  load = await startLoad(client, 3);
});

afterAll(async () => {
  await load.stop();
  client.close();
  await cluster.stop();
});

/** Something is decided and committed, by whoever is the active controller then. What has no answer may exist as well. */
async function decide(what: string): Promise<void> {
  await waitFor(`a decision ${what}`, async () => {
    const topic = `decided-${asked.length}`;
    asked.push(topic);
    await client.admin.createTopic({ topic, partitions: 1, replicationFactor: 1 }, { timeoutMs: 5000 });
    return decided.push(topic);
  });
}

const topics = async () => (await client.admin.listTopics({})).topics.map(({ name }) => name);

const activeController = () =>
  waitFor("an active controller", async () => {
    const { leader, controllerEpoch } = await client.metadata.describeQuorum({}, { timeoutMs: 5000 });
    if (leader !== undefined) said.set(controllerEpoch, (said.get(controllerEpoch) ?? new Set()).add(leader));
    return leader;
  });

/** Every controller epoch until now had one leader, as the controllers and the gateway say, and each was later than the last. */
async function expectOneLeaderInEachEpoch(): Promise<void> {
  await activeController();
  const epochs = begun().map(({ epoch }) => epoch);
  expect(epochs.length).toBeGreaterThan(1);
  expect(epochs).toEqual([...new Set(epochs)].sort((left, right) => left - right));
  const leaders = new Map(begun().map(({ epoch, controller }) => [epoch, new Set([controller])]));
  expect(said.size).toBeGreaterThan(0);
  for (const [epoch, seen] of said) expect([epoch, seen]).toEqual([epoch, leaders.get(epoch)]);
}

/** Each time that a controller began to act, in the order of their clocks, by what they wrote into their logs. */
function begun(): readonly { readonly epoch: number; readonly controller: number }[] {
  return [1, 2, 3]
    .flatMap((controller) => {
      const lines = readFileSync(join(cluster.data, "logs", `controller-${controller}.log`), "utf8").split("\n");
      return lines
        .filter((line) => line.includes('"active controller"') && line.endsWith("}"))
        .map((line) => JSON.parse(line) as { readonly time: string; readonly epoch: number })
        .map(({ time, epoch }) => ({ time: Date.parse(time), epoch, controller }));
    })
    .sort((left, right) => left.time - right.time || left.epoch - right.epoch);
}

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

function stubsOf(name: string) {
  const endpoint = cluster.endpoint(name);
  return etcdMembers({ endpoints: [endpoint], clock, callTimeoutMs: 2000 }).connect(endpoint);
}

/** What a member has of these keys, once it has all that was committed before. */
async function entriesAt(name: string, range: RangeRequest): Promise<RangeResponse["entries"]> {
  const stubs = stubsOf(name);
  return stubs
    .range(range)
    .then(({ entries }) => entries)
    .finally(() => stubs.close());
}

/** The revision of the newest append of any controller: each epoch begins with one. */
async function newestAppend(): Promise<bigint | undefined> {
  return (await entriesAt("etcd-1", { key: "/tidemark/append" }))[0]?.modRevision;
}

async function compact(name: string): Promise<void> {
  const stubs = stubsOf(name);
  const { revision } = await stubs.range({ key: "/tidemark/append" });
  await stubs.compact(revision);
  stubs.close();
}

/** Each member of etcd has every topic that was decided, as the others have it, and none that nobody asked for. */
async function expectAllInEtcd(): Promise<void> {
  const prefix = "/tidemark/topics/";
  const each = await Promise.all(
    members.map((name) => entriesAt(name, { key: prefix, rangeEnd: "/tidemark/topics0" })),
  );
  const [first = []] = each;
  for (const entries of each) expect(entries).toEqual(first);
  const kept = first.map(({ key }) => key.slice(prefix.length));
  expect(kept).toEqual(expect.arrayContaining(["load", ...decided]));
  expect(["load", ...asked]).toEqual(expect.arrayContaining(kept));
}

/** Resolves when a lease of so many seconds, granted now, has run out, by etcd's own clock. */
async function leaseRunsOut(name: string, seconds: number): Promise<void> {
  const stubs = stubsOf(name);
  const key = "/elsewhere/frozen";
  const { id } = await stubs.leaseGrant(seconds);
  await stubs.txn({ compares: [], success: [{ kind: "put", key, value: Uint8Array.of(1), lease: id }] });
  const isGone = async () => (await stubs.range({ key })).entries.length === 0;
  await waitFor("the lease to run out", isGone, (seconds + 20) * 1000).finally(() => stubs.close());
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
  await leaseRunsOut(next, frozenSeconds);
  await load.goesOn("while it is still frozen, past every lease");
  await decide("past every lease");
  await compact(next);
  cluster.signal(frozen, "SIGCONT");
  await decide("when it is back, with requests that stood still in it");
  expect(await topics()).toEqual(expect.arrayContaining(decided));

  await cluster.kill(frozen);
  await cluster.start(frozen);
  await decide("behind a restart with compaction");
  expect(await topics()).toEqual(expect.arrayContaining(decided));
});

it("22 acks go on while two of three members of etcd are down, and decisions when they are back", async () => {
  const leader = await leadingMember();
  const down = [leader, members.find((name) => name !== leader) ?? leader];
  for (const name of down) await cluster.kill(name);
  await load.goesOn("before either member is back");
  expect(down.map((name) => cluster.process(name).state)).toEqual(["failed", "failed"]);
  for (const name of down) await cluster.start(name);
  await decide("with all members of etcd back");
});

it("22 acks go on while no controller is active, and another decides", async () => {
  const leader = await activeController();
  const standbys = [1, 2, 3].filter((id) => id !== leader).map((id) => `controller-${id}`);
  const { controllerEpoch } = await client.metadata.describeQuorum({});
  // Neither takes over before it is let: all that is acknowledged meanwhile is so without a controller.
  for (const name of standbys) cluster.signal(name, "SIGSTOP");
  await cluster.kill(`controller-${leader}`);
  const last = await newestAppend();
  expect(last).toBeDefined();
  await load.goesOn("without an active controller");
  expect(await newestAppend()).toBe(last);
  for (const name of standbys) cluster.signal(name, "SIGCONT");
  await decide("by the next controller");
  expect(await activeController()).not.toBe(leader);
  expect((await client.metadata.describeQuorum({})).controllerEpoch).toBeGreaterThan(controllerEpoch);
  await cluster.start(`controller-${leader}`);
});

it("a partition has a leader again when its own and the active controller die together, and nothing acknowledged is lost", async () => {
  const active = await activeController();
  const partition = async () => (await client.admin.describeTopics({ topics: ["load"] })).topics[0]?.partitions[0];
  await waitFor("all replicas in sync", async () => (await partition())?.isr.length === 3);
  const broker = `broker-${(await partition())?.leader}`;
  cluster.signal(`controller-${active}`, "SIGKILL");
  cluster.signal(broker, "SIGKILL");
  await load.goesOn("from the next leader");
  await decide("behind both deaths");
  const count = load.acked.length;
  const read = async (args: readonly string[]) => (await cluster.tidemark(args)).stdout.toString();
  expect(await missingOf(load.acked.slice(0, count), read)).toEqual([]);
  expect(await topics()).toEqual(expect.arrayContaining(decided));
  await expectAllInEtcd();
  await expectOneLeaderInEachEpoch();
});
