/** An etcd in memory: for tests, and for the simulator. */
export type { Agreement } from "./cluster.ts";
export { createSimulatedEtcd, type SimulatedEtcd, type SimulatedEtcdOptions } from "./simulated-etcd.ts";
