import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { allEtcdGuards } from "./guards.ts";
import { keepLease } from "./lease.ts";
import { createRotation } from "./rotation.ts";
import { createSimulatedEtcd } from "./simulated/simulated-etcd.ts";

/** A lease of three seconds, renewed every second, whose timers are `earlyMs` early. */
async function setting(earlyMs: number) {
  const time = createManualTime();
  const scheduler = {
    after: (delayMs: number, task: () => void) => time.scheduler.after(Math.max(0, delayMs - earlyMs), task),
    afterInput: time.scheduler.afterInput,
  };
  const runtime = { clock: time.clock, scheduler, random: createSeededRandom(1) };
  const etcd = createSimulatedEtcd({ runtime: { ...time, random: runtime.random } });
  const rotation = createRotation({ purpose: "lease", members: etcd.members, runtime, onEvent: () => {} });
  const granting = etcd.members.connect(etcd.members.endpoints[0] ?? "").leaseGrant(3);
  await time.advance(10);
  const lost: string[] = [];
  const lease = keepLease({
    grant: await granting,
    askedAtMs: 0,
    rotation,
    runtime,
    renewalMs: 1_000,
    timeoutMs: 600,
    guards: allEtcdGuards,
    onLost: (cause) => lost.push(cause),
  });
  return { time, etcd, lease, lost, rotation };
}

describe("belief in a lease", () => {
  it("lasts for as long as renewals are answered", async () => {
    const s = await setting(0);
    await s.time.advance(60_000);
    expect(s.lost).toEqual([]);
    expect(s.lease.isBelieved()).toBe(true);
    s.lease.end();
    s.etcd.close();
    s.rotation.close();
  });

  it.each([0, 0.7])("ends a margin before the lease could, with timers that are %d ms early, too", async (earlyMs) => {
    const s = await setting(earlyMs);
    await s.time.advance(10_000);
    s.etcd.stop(1);
    const stoppedAtMs = s.time.clock.monotonicMs();
    await s.time.advance(1_600);
    expect(s.lost).toEqual([]);
    await s.time.advance(1_100);
    expect(s.lost).toHaveLength(1);
    expect(s.time.clock.monotonicMs() - stoppedAtMs).toBeLessThan(3_000);
    expect(s.lease.isBelieved()).toBe(false);
    s.etcd.close();
    s.rotation.close();
  });

  it("says nothing after it was ended", async () => {
    const s = await setting(0);
    s.lease.end();
    s.etcd.stop(1);
    await s.time.advance(10_000);
    expect(s.lost).toEqual([]);
    expect(s.time.pending()).toBeLessThanOrEqual(1);
    s.etcd.close();
    s.rotation.close();
  });
});
