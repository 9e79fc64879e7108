import { EtcdError, type EtcdStubs } from "@tidemark/consensus-etcd";
import { describeEtcdBehaviour } from "@tidemark/consensus-etcd/behaviour";
import { describe, expect, it } from "vitest";
import { createSimProcess } from "../engine/sim-process.ts";
import { createPassingTime } from "../testing/passing-time.ts";
import { createThreeEtcds } from "../testing/three-etcds.ts";

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

const put = (key: string) => ({
  compares: [],
  success: [{ kind: "put", key, value: Uint8Array.of(1), lease: "0" } as const],
});

/** The members that run on, and the two that form a majority without the first. */
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

  it("ends the watches of a member that is cut off", async () => {
    const { cluster, until, stubsOf } = await createMachines();
    const ended: EtcdError[] = [];
    stubsOf(2).watch(
      { key: "/", rangeEnd: "0", startRevision: 2n },
      { onMessage: () => undefined, onEnd: (error) => ended.push(error) },
    );
    const { links } = cluster.network;
    for (const other of ["etcd-1.sim", "etcd-3.sim"]) links.cut(other, "etcd-2.sim");
    await until(() => ended.length > 0, "the watch ended");
    expect(ended[0]?.code).toBe("LOST");
  });

  it("has a leader again after its leader's machine went dark, and leases begin anew", async () => {
    const { engine, cluster, settled, served, until, stubsOf } = await createMachines();
    const stubs = cluster.etcds.map((_, at) => stubsOf(at + 1));
    const [first] = stubs;
    const grant = await settled(first?.leaseGrant(3) ?? Promise.reject(new Error("no member")));
    expect(grant).toMatchObject({ ttlSeconds: 3 });
    const leader = cluster.etcds[(cluster.etcd.leader ?? 0) - 1];
    const lost = engine.nowMs;
    leader?.losePower();
    const other = stubs[cluster.etcds.findIndex((node) => node !== leader)];
    if (other === undefined || grant instanceof EtcdError) throw new Error("No other member");
    await served(other);
    const ttl: number[] = [];
    const ask = other.leaseKeepAlive(grant.id, {
      onMessage: ({ ttlSeconds }) => ttl.push(ttlSeconds),
      onEnd: () => undefined,
    });
    ask.send();
    await until(() => ttl.length > 0, "the renewal is answered");
    expect(ttl).toEqual([3]);
    expect(engine.nowMs - lost).toBeGreaterThan(1000);
  });

  it("carries a transaction out that waited at a member which stood still, after its caller gave it up", async () => {
    const { cluster, settled, runFor, stubsOf } = await createMachines();
    const late = stubsOf(2);
    await settled(late.range({ key: "/" }));
    cluster.etcds[1]?.process?.pause();
    const lost = late.txn(put("/late"));
    lost.catch(() => undefined);
    await runFor(2000);
    late.close();
    expect(await settled(stubsOf(1).range({ key: "/late" }))).toMatchObject({ entries: [] });
    cluster.etcds[1]?.process?.resume();
    await runFor(2000);
    expect(await settled(stubsOf(1).range({ key: "/late" }))).toMatchObject({ entries: [{ key: "/late" }] });
  });
});
