/**
 * What the backend takes for granted of etcd, as suites that run against the real one and against the simulated one, so
 * that the simulated one does not lie.
 */
export { describeEtcdBehaviour, type EtcdBehind } from "./any-etcd.ts";
export { describeEtcdMembersBehaviour, type MembersBehind } from "./three-members.ts";
