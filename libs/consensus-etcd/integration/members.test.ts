/** etcd's own members killed, frozen and cut off for real, one behind the other, under load. */
import { type Watched, watchProcess } from "@tidemark/consensus/contract";
import { createNodeRuntime } from "@tidemark/runtime";
import { waitFor } from "@tidemark/testkit";
import { type EtcdMember, type EtcdProcesses, startEtcd } from "@tidemark/testkit/etcd";
import { createTcpProxy } from "@tidemark/testkit/tcp-proxy";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { etcdMembers } from "../src/index.ts";
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

  it("33 a watch at a member that is cut off from the others ends, instead of staying without news", async () => {
    const [first, ...others] = etcd.members as readonly [EtcdMember, EtcdMember, EtcdMember];
    const stubs = membersBehind([first.endpoint]).connect(first.endpoint);
    const ended: string[] = [];
    let began = false;
    const watch = stubs.watch(
      { key: "/members/", rangeEnd: "/members0", startRevision: 1_000_000n },
      {
        onMessage: () => {
          began = true;
        },
        onEnd: (error) => ended.push(error.message),
      },
    );
    await waitFor("the watch to begin", () => began);
    for (const other of others) other.pause();
    await waitFor("the watch to end", () => ended.length > 0, 20_000).finally(() => {
      for (const other of others) other.resume();
    });
    expect(ended[0]).toMatch(/no leader/);
    watch.close();
    stubs.close();
    await etcd.ready();
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
