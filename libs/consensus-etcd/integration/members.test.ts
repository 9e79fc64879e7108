/** etcd's own members killed, frozen and cut off for real, one behind the other, under load. */
import { type Watched, watchProcess } from "@tidemark/consensus/contract";
import { createNodeRuntime } from "@tidemark/runtime";
import { waitFor } from "@tidemark/testkit";
import { type EtcdMember, type EtcdProcesses, startEtcd } from "@tidemark/testkit/etcd";
import { createTcpProxy } from "@tidemark/testkit/tcp-proxy";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { etcdMembers } from "../src/index.ts";
import { describeEtcdMembersBehaviour } from "../src/testing/behaviour/index.ts";
import { createEtcdCluster, type EtcdCluster } from "../src/testing/contract-cluster.ts";

const runtime = createNodeRuntime();
let etcd: EtcdProcesses;
let tests = 0;

beforeAll(async () => {
  etcd = await startEtcd({ members: 3 });
});

afterAll(() => etcd.stop());

const membersBehind = (endpoints: readonly string[]) =>
  etcdMembers({ endpoints, clock: runtime.clock, callTimeoutMs: 5_000 });

function createCluster(endpoints: readonly string[]): EtcdCluster {
  tests += 1;
  return createEtcdCluster({
    runtime,
    settings: { prefix: `/members/${tests}`, leaseMs: 2_000, renewalMs: 500, compaction: undefined },
    etcd: { members: membersBehind(endpoints), powerCut: () => etcd.powerCut() },
  });
}

async function joinAll(cluster: EtcdCluster): Promise<readonly Watched[]> {
  const all: Watched[] = [];
  for (const candidate of [1, 2, 3] as const) {
    const process = watchProcess(candidate, await cluster.start(candidate));
    all.push(process);
    await process.consensus.join(cluster.identity(candidate));
  }
  return all;
}

/** Appends by whoever leads, one behind the other, until it is stopped. */
function appendOn(all: readonly Watched[]) {
  const committed: string[] = [];
  const state = { isStopped: false };
  const run = async () => {
    for (let n = 0; !state.isStopped; n++) {
      const leader = all.find((process) => process.belief().kind === "leading");
      const belief = leader?.belief();
      if (leader === undefined || belief?.kind !== "leading") {
        const isLed = () => all.some((process) => process.belief().kind === "leading");
        await waitFor("somebody to lead", () => state.isStopped || isLed());
        continue;
      }
      const key = `/test/${n}`;
      const outcome = await leader.consensus.append(belief.epoch, [{ kind: "put", key, value: Buffer.from("1") }]);
      if (outcome.kind === "committed") committed.push(key);
    }
  };
  const running = run();
  return {
    committed,
    /** Resolves when some more were committed. */
    goesOn: async (what: string) => {
      const before = committed.length;
      await waitFor(`appends ${what}`, () => committed.length > before + 20);
    },
    async stop() {
      state.isStopped = true;
      await running;
    },
  };
}

function epochsWithTwoLeaders(all: readonly Watched[]): readonly number[] {
  const leaders = new Map<number, Watched>();
  return all.flatMap((process) =>
    process.beliefs.flatMap((belief) => {
      if (belief.kind !== "leading") return [];
      const other = leaders.get(belief.epoch);
      leaders.set(belief.epoch, process);
      return other === undefined ? [] : [belief.epoch];
    }),
  );
}

describeEtcdMembersBehaviour("real", async () => {
  tests += 1;
  const of = (member: number): EtcdMember => etcd.members[member - 1] as EtcdMember;
  const others = (member: number) => etcd.members.filter((other) => other !== of(member));
  const frozen = new Set<EtcdMember>();
  const freeze = (member: EtcdMember) => {
    member.pause();
    frozen.add(member);
  };
  const thaw = async (member: EtcdMember) => {
    member.resume();
    frozen.delete(member);
    await member.ready();
  };
  return {
    prefix: `/members/${tests}/`,
    ttlSecondsMin: 1,
    async until(condition, what) {
      await waitFor(what, condition);
    },
    connect(member) {
      const { endpoint } = of(member);
      return etcdMembers({ endpoints: [endpoint], clock: runtime.clock, callTimeoutMs: 2_000 }).connect(endpoint);
    },
    leader: () => waitFor("a leader", async () => (await leaderOf(etcd.members)) ?? false),
    async giveUp(stubs, calls) {
      // By their deadlines: none is waited for longer.
      await Promise.allSettled(calls);
      stubs.close();
    },
    freeze: (member) => freeze(of(member)),
    thaw: (member) => thaw(of(member)),
    isolate: (member) => others(member).forEach(freeze),
    async kill(member) {
      await of(member).kill();
      await Promise.all(others(member).map((other) => other.ready()));
    },
    async close() {
      for (const member of frozen) member.resume();
      for (const member of etcd.members) if (!member.isRunning()) member.start();
      await etcd.ready();
    },
  };
});

/** Its number, as the members that answer say. */
async function leaderOf(members: readonly EtcdMember[]): Promise<number | undefined> {
  const all = await Promise.all(members.map(({ endpoint }) => statusOf(endpoint)));
  const at = all.findIndex(({ header, leader }) => header.member_id === leader);
  return at < 0 ? undefined : at + 1;
}

interface Status {
  readonly header: { readonly member_id: string };
  readonly leader?: string;
}

async function statusOf(endpoint: string): Promise<Status> {
  const answer = await fetch(`http://${endpoint}/v3/maintenance/status`, { method: "POST", body: "{}" });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Status;
}

describe("a store on three members", () => {
  it("loses nothing and has no two leaders while each is killed, frozen, and brought back, with compaction", async () => {
    const cluster = createCluster(etcd.endpoints);
    const all = await joinAll(cluster);
    const load = appendOn(all);
    for (const member of etcd.members) {
      await member.kill();
      await load.goesOn(`without ${member.name}`);
      await cluster.compact().catch(() => undefined);
      member.start();
      await member.ready();
    }
    for (const member of etcd.members) {
      member.pause();
      await load.goesOn(`while ${member.name} is frozen`);
      member.resume();
      await member.ready();
    }
    await load.goesOn("at the end");
    await load.stop();
    const last = load.committed.at(-1) ?? "";
    await cluster.until(() => all.every((process) => process.tree.has(last)), "everybody has everything");
    for (const process of all) {
      expect(load.committed.filter((key) => !process.tree.has(key))).toEqual([]);
      expect(process.violations).toEqual([]);
    }
    expect(epochsWithTwoLeaders(all)).toEqual([]);
    for (const process of all) process.stop();
    await cluster.close();
  });

  it("30 a half-open connection, on which nothing comes back, is left for another member", async () => {
    const proxies = await Promise.all(
      etcd.members.map(({ endpoint }) => createTcpProxy({ target: { port: Number(endpoint.split(":")[1]) } })),
    );
    const cluster = createCluster(proxies.map(({ host, port }) => `${host}:${port}`));
    const all = await joinAll(cluster);
    const load = appendOn(all);
    for (const proxy of proxies) {
      proxy.forward("toClient", "drop");
      await load.goesOn("past a connection that is silent");
      proxy.forward("toClient", "pass");
      proxy.reset();
    }
    await load.stop();
    for (const process of all) {
      expect(process.violations).toEqual([]);
      process.stop();
    }
    expect(epochsWithTwoLeaders(all)).toEqual([]);
    await cluster.close();
    await Promise.all(proxies.map((proxy) => proxy.close()));
  });
});
