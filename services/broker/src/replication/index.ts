export { defaultStreamLimits, type StreamLimits } from "./limits.ts";
export type { ReplicaFetcher, ReplicaReceiving, ReplicaReply, ReplicaServing } from "./replica-exchange.ts";
export type { ReplicaInspection } from "./replica-inspection.ts";
export { createReplicaStreams, type ReplicaStreams, type ReplicaStreamsOptions } from "./replica-streams.ts";
