export { createRaftWatch, type NodeWatch, type RaftWatch } from "./raft-watch.ts";
export { Violation } from "./violation.ts";
