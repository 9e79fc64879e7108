import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { allEtcdGuards } from "./guards.ts";
import { keepLease } from "./lease.ts";
import { createRotation } from "./rotation.ts";
import { createSimulatedEtcd } from "./simulated/simulated-etcd.ts";
import type { EtcdMembers, EtcdStubs } from "./stubs.ts";
import { createPausableRuntime } from "./testing/pausable-runtime.ts";

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

  it("31 ends with the first renewal that etcd answers with no time, not when the time of the one before is over", async () => {
    const s = await setting(0);
    await s.time.advance(10_000);
    const stubs = s.etcd.members.connect(s.etcd.members.endpoints[0] ?? "");
    stubs.leaseRevoke(s.lease.id).catch(() => undefined);
    // A renewal is sent every second; what was answered before lasts for three, less a margin.
    await s.time.advance(1_100);
    expect(s.lost).toEqual(["etcd says that the lease is gone"]);
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

  it("counts an answer for the renewal that it answers, where a stall had the next one sent before it was read", async () => {
    const time = createManualTime();
    const process = createPausableRuntime({ ...time, random: createSeededRandom(1) });
    const sentAtMs: number[] = [];
    let answer = () => {};
    const leaseKeepAlive: EtcdStubs["leaseKeepAlive"] = (_, { onMessage }) => {
      answer = () => onMessage({ ttlSeconds: 3 });
      return { send: () => sentAtMs.push(time.clock.monotonicMs()), close: () => undefined };
    };
    const connect = () => ({ leaseKeepAlive, close: () => undefined }) as unknown as EtcdStubs;
    const members: EtcdMembers = { endpoints: ["etcd:2379"], connect };
    const rotation = createRotation({ purpose: "lease", members, runtime: process, onEvent: () => {} });
    const lease = keepLease({
      grant: { id: "1", ttlSeconds: 3 },
      askedAtMs: 0,
      rotation,
      runtime: process,
      renewalMs: 1_000,
      timeoutMs: 600,
      guards: allEtcdGuards,
      onLost: () => {},
    });
    await time.advance(0);
    answer();
    await time.advance(1_000);
    expect(sentAtMs).toEqual([0, 1_000]);
    // etcd renews at once, and hears nothing more; its answer waits to be read.
    process.pause();
    await time.advance(2_000);
    process.resume();
    answer();
    await time.advance(999);
    expect(lease.isBelieved()).toBe(false);
    lease.end();
    rotation.close();
  });
});
