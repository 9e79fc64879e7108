export { createEtcdCluster } from "./contract-cluster.ts";
