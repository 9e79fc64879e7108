import { describe, expect, it } from "vitest";
import { createReplicaCluster, one, type ReplicaCluster, two } from "../testing/replica-cluster.ts";

/** How often broker 1's machine was told the time while `ms` passed. */
async function ticksIn(cluster: ReplicaCluster, ms: number): Promise<number> {
  const before = cluster.steps.filter((step) => step === "1: tick").length;
  await cluster.advance(ms);
  return cluster.steps.filter((step) => step === "1: tick").length - before;
}

describe("the time", () => {
  it("is told to a partition once a second while it is idle, and at each tick while somebody waits", async () => {
    const cluster = await createReplicaCluster();
    await cluster.advance(1000);
    expect(await ticksIn(cluster, 10_000)).toBeLessThanOrEqual(10);
    cluster.exchange.cut(one, two);
    cluster.produce(one, "a").catch(() => undefined);
    expect(await ticksIn(cluster, 1000)).toBe(20);
  });

  it("is told at each tick to a leader whose follower lags, though no client waits", async () => {
    const cluster = await createReplicaCluster();
    cluster.exchange.cut(one, two);
    await cluster.produce(one, "a", "none");
    expect(await ticksIn(cluster, 1000)).toBe(20);
    await cluster.until(() => !cluster.controller.partition().isr.includes(two));
  });

  it("is told at each tick to a follower that was refused, so that it asks again soon", async () => {
    const cluster = await createReplicaCluster({ settings: { fetchRetryFirstMs: 100 } });
    cluster.controller.elect(two, [one, two]);
    await cluster.publish(one);
    const refused = cluster.steps.length;
    await cluster.advance(300);
    const steps = cluster.steps.slice(refused);
    expect(steps.filter((step) => step === "1: tick").length).toBeGreaterThanOrEqual(3);
    // Whoever drives the table may tell it the time sooner.
    expect(steps).toContain("1: due");
    await cluster.publish();
    await cluster.until(() => cluster.broker(one).partition().view().role === "follower");
  });
});
