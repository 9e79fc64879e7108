import { describe, expect, it } from "vitest";
import { createManualCluster, type ManualCluster } from "../testing/manual-cluster.ts";
import { defaultTiming, durationsOf } from "./timing.ts";

const { electionTimeoutMs } = defaultTiming;
const { leaseMs, stallMs } = durationsOf(defaultTiming);

/** How long until another than the first leads, in milliseconds of its time. */
async function failover(
  cluster: ManualCluster,
  others: Awaited<ReturnType<ManualCluster["joinAll"]>>,
): Promise<number> {
  const from = cluster.now();
  await cluster.until(() => others.slice(1).some(({ belief }) => belief().kind === "leading"), "another leads");
  return cluster.now() - from;
}

describe("when the leader's process is gone", () => {
  it("another leads at once, as its port refuses connections", async () => {
    const cluster = await createManualCluster();
    const all = await cluster.joinAll();
    cluster.kill(1);
    expect(await failover(cluster, all)).toBeLessThan(electionTimeoutMs / 2);
    expect(cluster.events).toContainEqual(
      expect.objectContaining({ event: { kind: "peerRefused", peer: cluster.identity(1).directoryId } }),
    );
    await cluster.close();
  });

  it("silence is no evidence: nobody leads before an election timeout has passed", async () => {
    const cluster = await createManualCluster();
    const all = await cluster.joinAll();
    cluster.cut(1);
    expect(await failover(cluster, all)).toBeGreaterThanOrEqual(electionTimeoutMs - 20);
    await cluster.close();
  });

  it("one follower's evidence moves nobody who has none, and two followers' does", async () => {
    for (const witnesses of [[2], [2, 3]]) {
      const cluster = await createManualCluster();
      const all = await cluster.joinAll();
      cluster.cut(1);
      for (const witness of witnesses.toReversed()) {
        const node = cluster.stores().get(witness)?.node;
        node?.raft.peerRefused(cluster.identity(1).directoryId);
        node?.pump();
      }
      const ms = await failover(cluster, all);
      if (witnesses.length === 1) expect(ms).toBeGreaterThanOrEqual(electionTimeoutMs - 20);
      else expect(ms).toBeLessThan(electionTimeoutMs / 2);
      await cluster.close();
    }
  });
});

describe("the controller epoch", () => {
  it("of each leader is the term that elected it", async () => {
    const cluster = await createManualCluster();
    const all = await cluster.joinAll();
    const leaders = () =>
      all.flatMap(({ belief }, at) => {
        const held = belief();
        const node = cluster.stores().get(at + 1)?.node;
        if (held.kind !== "leading" || node === undefined) return [];
        return [{ epoch: Number(held.epoch), term: Number(node.raft.status().term) }];
      });
    const [first] = leaders();
    expect(first?.epoch).toBe(first?.term);
    cluster.kill(1);
    await failover(cluster, all);
    const [second] = leaders();
    expect(second?.epoch).toBe(second?.term);
    expect(second?.term).toBeGreaterThan(first?.term ?? 0);
    await cluster.close();
  });
});

describe("a process that stood still", () => {
  it("stops believing that it leads when that was longer than its lease, and before anybody else leads", async () => {
    const cluster = await createManualCluster();
    const [first, second, third] = await cluster.joinAll();
    cluster.stall(1);
    await cluster.wait(leaseMs + 10);
    expect([second, third].map(({ belief }) => belief().kind)).toEqual(["following", "following"]);
    cluster.resume(1);
    await cluster.until(() => first.belief().kind !== "leading", "the first believes no more");
    expect(cluster.events).toContainEqual({
      node: 1,
      event: expect.objectContaining({ kind: "leaseEnded", cause: "unconfirmed" }) as unknown,
    });
    await cluster.close();
  });

  it("says so past a quarter of the election timeout, and goes on leading within its lease", async () => {
    const cluster = await createManualCluster();
    const [first] = await cluster.joinAll();
    const stalls = () => cluster.events.filter(({ node, event }) => node === 1 && event.kind === "stalled").length;
    cluster.stall(1);
    await cluster.wait(stallMs - 50);
    cluster.resume(1);
    await cluster.wait(100);
    expect(stalls()).toBe(0);
    cluster.stall(1);
    await cluster.wait(stallMs + 60);
    cluster.resume(1);
    await cluster.wait(100);
    expect(stalls()).toBe(1);
    expect(first.belief().kind).toBe("leading");
    await cluster.close();
  });

  it("does not take the leader for dead because it heard nothing meanwhile", async () => {
    const cluster = await createManualCluster();
    const [first] = await cluster.joinAll();
    const term = cluster.stores().get(1)?.node.raft.status().term;
    cluster.stall(3);
    await cluster.wait(10 * electionTimeoutMs);
    cluster.resume(3);
    await cluster.wait(2 * electionTimeoutMs);
    expect(cluster.stores().get(3)?.node.raft.status().term).toBe(term);
    expect(first.belief().kind).toBe("leading");
    await cluster.close();
  });
});

describe("a quorum that cannot be formed", () => {
  it("is said every few seconds, with who is silent", async () => {
    const cluster = await createManualCluster();
    await cluster.joinAll();
    cluster.kill(1);
    cluster.kill(2);
    await cluster.wait(20_000);
    const said = cluster.events.filter(({ node, event }) => node === 3 && event.kind === "noQuorum");
    expect(said.length).toBeGreaterThanOrEqual(3);
    expect(said.length).toBeLessThanOrEqual(5);
    const silent = [cluster.identity(1).directoryId, cluster.identity(2).directoryId];
    expect(said.at(-1)?.event).toMatchObject({ silent });
    await cluster.restartNode(1);
    const again = await cluster.settled(cluster.start(1));
    await cluster.settled(again.join(cluster.identity(1)));
    await cluster.close();
  });
});
