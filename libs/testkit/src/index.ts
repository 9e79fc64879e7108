export { type ClusterProcess, type DevCluster, type DevClusterOptions, startDevCluster } from "./dev-cluster.ts";
export { freePorts } from "./free-ports.ts";
export { type Attributes, type AttributeValue, countSpans, type ReceivedSpan } from "./otlp-decode.ts";
export { createOtlpReceiver, type OtlpReceiver, type ReceiverMood } from "./otlp-receiver.ts";
export { type Finished, mustRun, type RunOptions, runProgram } from "./run-program.ts";
export { waitFor } from "./wait-for.ts";
