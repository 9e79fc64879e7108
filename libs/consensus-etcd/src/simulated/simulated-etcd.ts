/**
 * An etcd cluster in memory, at the level of the stubs, with the faults of a real one. One suite runs against it and
 * against the real one, so that it does not lie.
 *
 * | a member is | calls and streams                                                                      |
 * |-------------|----------------------------------------------------------------------------------------|
 * | up          | answer                                                                                 |
 * | frozen      | wait, and are carried out when it thaws, however late (SIGSTOP, SIGCONT)               |
 * | minority    | fail for want of a leader                                                              |
 * | down        | are refused                                                                            |
 */
import type { Cancel, Runtime } from "@tidemark/runtime";
import type { EtcdKey, EtcdMembers } from "../stubs.ts";
import { type Agreement, endLease, type SimulatedCluster } from "./cluster.ts";
import { createLeases } from "./leases.ts";
import { createSimulatedMember, type SimulatedMember } from "./member.ts";
import { createMvcc, type StoreRevision } from "./mvcc.ts";
import type { WatchShape } from "./watchers.ts";

export interface SimulatedEtcdOptions {
  readonly runtime: Runtime;
  /** Default 1. */
  readonly members?: number;
  /** The least that a lease is granted. Default 1. */
  readonly ttlSecondsMin?: number;
  /** Milliseconds that a message takes one way, at most. Default 2. */
  readonly latencyMs?: number;
  readonly watch?: Partial<WatchShape>;
  /** Default: everything at once, where the members stand by `freeze`, `isolate` and `stop`. */
  readonly agreement?: Agreement;
}

export interface SimulatedEtcd {
  readonly members: EtcdMembers;
  /** Members by their number, from 1 on. */
  freeze(member: number): void;
  thaw(member: number): void;
  /** Cuts a member off from the others. */
  isolate(member: number): void;
  stop(member: number): void;
  /** Back to `up`, whatever it was. */
  heal(member: number): void;
  /** For so long nobody leads etcd; then somebody does, and every lease begins anew. */
  loseLeader(durationMs: number): void;
  /** Whether somebody leads etcd; a new leader begins every lease anew. */
  setLeader(isThere: boolean): void;
  /** The member learns all that was committed: for whoever brings its own agreement. */
  catchUp(member: number): void;
  /** Everything stops and comes back at once, with all that was committed. */
  powerCut(): void;
  /** Forgets the history up to now. False where there is none to forget. */
  compact(): boolean;
  /** Whether etcd's space quota is used up. */
  setFull(isFull: boolean): void;
  /** Whoever writes or reads this key is denied it, and whoever begins a watch that takes it in is denied that. */
  deny(key: EtcdKey): void;
  revision(): bigint;
  /** What was committed from a revision on, as far as it was not compacted. */
  since(revision: bigint): readonly StoreRevision[];
  /** Ends its timers. */
  close(): void;
}

/** How often etcd looks for leases that ran out, milliseconds. */
const expiryCheckMs = 500;

export function createSimulatedEtcd(options: SimulatedEtcdOptions): SimulatedEtcd {
  const { runtime, members: count = 1, ttlSecondsMin = 1, latencyMs = 2 } = options;
  const members: SimulatedMember[] = [];
  const cluster: SimulatedCluster = {
    runtime,
    latencyMs,
    shape: { partRevisions: 1_000, fragmentBytes: 1.5 * 1024 * 1024, partDelayMs: 1, ...options.watch },
    mvcc: createMvcc(),
    leases: createLeases(ttlSecondsMin),
    hasLeader: true,
    isFull: false,
    denied: new Set(),
    agreement: options.agreement ?? {
      isLed: () => true,
      agree: (_member, carryOut) => carryOut(),
      committed() {
        for (const member of members) member.catchUp();
      },
    },
  };
  for (let n = 1; n <= count; n++) members.push(createSimulatedMember(cluster, n));
  const endpoints = members.map((_, n) => `etcd-${n + 1}.test:2379`);
  const cancelExpiry = expireLeases(cluster);
  return {
    members: { endpoints, connect: (endpoint) => memberOf(members, endpoints.indexOf(endpoint) + 1).connect() },
    freeze: (n) => memberOf(members, n).become("frozen"),
    thaw: (n) => memberOf(members, n).become("up"),
    isolate: (n) => memberOf(members, n).become("minority"),
    stop: (n) => memberOf(members, n).become("down"),
    heal: (n) => memberOf(members, n).become("up"),
    loseLeader: (durationMs) => loseLeader(cluster, members, durationMs),
    setLeader: (isThere) => setLeader(cluster, isThere),
    catchUp: (n) => memberOf(members, n).catchUp(),
    powerCut() {
      for (const member of members) member.become("down");
      cluster.leases.extend(runtime.clock.monotonicMs());
      for (const member of members) member.become("up");
    },
    compact() {
      const revision = cluster.mvcc.revision();
      if (revision <= cluster.mvcc.compacted()) return false;
      cluster.mvcc.compact(revision);
      return true;
    },
    setFull(isFull) {
      cluster.isFull = isFull;
    },
    deny: (key) => {
      cluster.denied.add(key);
    },
    revision: () => cluster.mvcc.revision(),
    since: (revision) => cluster.mvcc.since(revision),
    close: cancelExpiry,
  };
}

function memberOf(members: readonly SimulatedMember[], n: number): SimulatedMember {
  const member = members[n - 1];
  if (member === undefined) throw new Error(`There is no member ${n}`);
  return member;
}

function loseLeader(cluster: SimulatedCluster, members: readonly SimulatedMember[], durationMs: number): void {
  cluster.hasLeader = false;
  for (const member of members) member.leaderLost();
  cluster.runtime.scheduler.after(durationMs, () => setLeader(cluster, true));
}

function setLeader(cluster: SimulatedCluster, isThere: boolean): void {
  if (isThere && !cluster.hasLeader) cluster.leases.extend(cluster.runtime.clock.monotonicMs());
  cluster.hasLeader = isThere;
}

function expireLeases(cluster: SimulatedCluster): Cancel {
  const { runtime, leases, agreement } = cluster;
  const look = () => {
    if (cluster.hasLeader && agreement.isLed())
      for (const lease of leases.expired(runtime.clock.monotonicMs())) endLease(cluster, lease);
    cancel = runtime.scheduler.after(expiryCheckMs, look);
  };
  let cancel = runtime.scheduler.after(expiryCheckMs, look);
  return () => cancel();
}
