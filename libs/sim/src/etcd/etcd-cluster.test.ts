import { EtcdError, type EtcdStubs } from "@tidemark/consensus-etcd";
import { describeEtcdBehaviour, describeEtcdMembersBehaviour } from "@tidemark/consensus-etcd/behaviour";
import { describe, expect, it } from "vitest";
import type { SimNode } from "../cluster/node.ts";
import { createSimProcess } from "../engine/sim-process.ts";
import { createPassingTime } from "../testing/passing-time.ts";
import { createThreeEtcds } from "../testing/three-etcds.ts";

/** As long as it may take until somebody leads, in milliseconds. */
const electionMs = 2000;

/** An etcd on three machines, and a machine of its own for whoever uses it. */
async function createMachines() {
  const { engine, random, cluster } = createThreeEtcds();
  const user = { name: "user", random: random.stream("user"), wallStartMs: 0 };
  const place = { host: cluster.network.addHost("user.sim"), process: createSimProcess(engine, user) };
  const { endpoints, connect } = cluster.etcd.reach(place);
  const { until, runFor, settled: settledCall, answered } = createPassingTime(engine);
  /** The answer, or the error, of a call that is made while time passes. */
  const settled = <Value>(call: Promise<Value>): Promise<Value | EtcdError> =>
    settledCall(call, "the call is answered").catch((error: unknown) => {
      if (!(error instanceof EtcdError)) throw error;
      return error;
    });
  /** Resolves when the member serves. */
  const served = (stubs: EtcdStubs) =>
    answered(
      () => stubs.range({ key: "/" }),
      () => true,
      "the member serves",
    );
  const start = async (stubs: EtcdStubs) => {
    for (const node of cluster.etcds) node.boot();
    // What is asked before somebody leads may wait for as long as a member has patience.
    await runFor(electionMs);
    await served(stubs);
  };
  const stubsOf = (member: number) => connect(endpoints[member - 1] ?? "");
  await start(stubsOf(1));
  return { engine, cluster, until, runFor, settled, served, start, stubsOf };
}

describeEtcdBehaviour("simulated machines", async () => {
  const { cluster, until, start, stubsOf } = await createMachines();
  const stubs = stubsOf(1);
  return {
    stubs,
    prefix: "/behaviour/",
    ttlSecondsMin: 1,
    until,
    async powerCut() {
      for (const node of cluster.etcds) node.losePower();
      await start(stubs);
    },
    setFull: async (isFull) => cluster.etcd.setFull(isFull),
    close: async () => stubs.close(),
  };
});

describeEtcdMembersBehaviour("simulated machines", async () => {
  const { cluster, until, runFor, served, stubsOf } = await createMachines();
  const { links } = cluster.network;
  const machine = (member: number): SimNode => cluster.etcds[member - 1] as SimNode;
  const next = (member: number) => (member % 3) + 1;
  return {
    prefix: "/behaviour/",
    ttlSecondsMin: 1,
    until,
    connect: stubsOf,
    async leader() {
      await until(() => cluster.etcd.leader !== undefined, "somebody leads");
      return cluster.etcd.leader ?? 0;
    },
    async giveUp(stubs, calls) {
      await runFor(2000);
      stubs.close();
      await Promise.allSettled(calls);
    },
    freeze: (member) => machine(member).process?.pause(),
    async thaw(member) {
      machine(member).process?.resume();
      await served(stubsOf(member));
    },
    isolate(member) {
      const alone = machine(member).host.name;
      for (const { host } of cluster.etcds) {
        if (host.name === alone) continue;
        links.cut(alone, host.name);
        links.cut(host.name, alone);
      }
    },
    async kill(member) {
      machine(member).kill();
      await runFor(electionMs);
      await served(stubsOf(next(member)));
      await served(stubsOf(next(next(member))));
    },
    close: async () => undefined,
  };
});

const put = (key: string) => ({
  compares: [],
  success: [{ kind: "put", key, value: Uint8Array.of(1), lease: "0" } as const],
});

describe("etcd on simulated machines", () => {
  it("takes nothing at a member that is cut off from the others, and serves at those", async () => {
    const { cluster, settled, runFor, served, stubsOf } = await createMachines();
    const { links } = cluster.network;
    const [first, ...others] = cluster.etcds.map(({ host }) => host.name);
    for (const other of others) {
      links.cut(first ?? "", other);
      links.cut(other, first ?? "");
    }
    await runFor(5000);
    expect(await settled(stubsOf(1).txn(put("/a")))).toMatchObject({ code: "LOST" });
    await served(stubsOf(2));
    expect(await settled(stubsOf(2).range({ key: "/a" }))).toMatchObject({ entries: [] });
    expect(await settled(stubsOf(3).txn(put("/b")))).toMatchObject({ succeeded: true });
  });
});
