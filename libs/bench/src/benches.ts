import type { Bench } from "./bench.ts";
import { brokerThroughput } from "./broker/throughput.ts";
import { clientBench } from "./client/client.ts";
import { controllerFailover } from "./consensus/controller-failover.ts";
import { raftCommit } from "./consensus/raft-commit.ts";
import { raftFailover } from "./consensus/raft-failover.ts";
import { logAppend } from "./log/append.ts";
import { logMemory } from "./log/memory.ts";
import { logRead } from "./log/read.ts";
import { logRecovery, logRestart } from "./log/recovery.ts";
import { failover } from "./replication/failover.ts";
import { manyPartitions } from "./replication/many-partitions.ts";
import { replicaStream } from "./replication/replica-stream.ts";
import { replicated } from "./replication/replicated.ts";
import { delayBench } from "./rpc/delay.ts";
import { encodingBench } from "./rpc/encoding.ts";
import { tracingCost } from "./tracing/cost.ts";

/** Everything that can be measured, in the order in which it is listed. */
export const benches: readonly Bench[] = [
  logAppend,
  logRead,
  logRecovery,
  logRestart,
  logMemory,
  encodingBench,
  replicaStream,
  delayBench,
  raftCommit,
  raftFailover,
  brokerThroughput,
  clientBench,
  replicated,
  failover,
  controllerFailover,
  manyPartitions,
  tracingCost,
];
