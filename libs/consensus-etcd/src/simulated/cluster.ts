import type { Runtime } from "@tidemark/runtime";
import { EtcdError, type EtcdKey, type LeaseId, type TxnRequest } from "../stubs.ts";
import type { Leases } from "./leases.ts";
import type { Mvcc } from "./mvcc.ts";
import type { WatchShape } from "./watchers.ts";

/** How members come to a majority, and learn what it committed. Members are named by their number, from 1 on. */
export interface Agreement {
  /** Whether anything can be committed now. Leases end by a commit, too. */
  isLed(): boolean;
  /** A call that the member took is to be carried out: now, later, or never. `fail`: the member says that it was not. */
  agree(member: number, carryOut: () => void, fail: (why: string) => void): void;
  /** Something was committed; each member is to learn of it. */
  committed(): void;
}

/** What the members share: a majority of them has it. */
export interface SimulatedCluster {
  readonly runtime: Runtime;
  readonly latencyMs: number;
  readonly shape: WatchShape;
  readonly mvcc: Mvcc;
  readonly leases: Leases;
  hasLeader: boolean;
  isFull: boolean;
  readonly denied: Set<EtcdKey>;
  readonly agreement: Agreement;
}

/** The lease and its keys go together, in one revision. */
export function endLease(cluster: SimulatedCluster, lease: LeaseId): void {
  cluster.mvcc.deleteKeys(cluster.mvcc.keysOf(lease));
  cluster.leases.revoke(lease);
  cluster.agreement.committed();
}

/** Throws what etcd would refuse for want of a right or of space. */
export function refuseUnwanted(cluster: SimulatedCluster, request: TxnRequest): void {
  const { compares, success } = request;
  const names = [...compares, ...success].map(({ key }) => key);
  if (names.some((key) => cluster.denied.has(key))) throw new EtcdError("DENIED", "etcdserver: permission denied");
  if (success.some(({ kind }) => kind === "put")) refuseFull(cluster);
}

/** Throws what etcd says where its space quota is used up: of puts, and of leases. */
export function refuseFull(cluster: SimulatedCluster): void {
  if (cluster.isFull) throw new EtcdError("NO_SPACE", "etcdserver: mvcc: database space exceeded");
}
