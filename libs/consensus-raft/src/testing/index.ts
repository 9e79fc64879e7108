export { createMemoryPlaces } from "./memory-places.ts";
export { createRaftCluster } from "./raft-cluster.ts";
