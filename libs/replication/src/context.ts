import type { BrokerEpoch, BrokerId, ControllerEpoch, LeaderEpoch, Offset } from "@tidemark/ids";
import type { ReplicationGuards } from "./guards.ts";
import type { LeaderHint, PartitionOutput } from "./outputs.ts";
import type { ProducerLookup } from "./producers/producer-table.ts";
import type { ReplicaLog } from "./replica-log.ts";
import type { ReplicaProgress } from "./replica-progress.ts";
import type { ReplicationSettings } from "./settings.ts";

/** What the parts of one partition share. Outlives roles: a leader and a follower of one partition follow each other on it. */
export interface PartitionContext {
  readonly self: BrokerId;
  readonly guards: ReplicationGuards;
  readonly log: ReplicaLog;
  readonly producers: ProducerLookup;
  /** What is known of each replica, this one included. Forgotten at each election (R2). */
  readonly progress: Map<BrokerId, ReplicaProgress>;
  brokerEpoch: BrokerEpoch;
  settings: ReplicationSettings;
  /** First offset not known to be committed, by what this broker knows in its role. */
  highWatermark: Offset;
  /** The newest controller epoch that was heard of (R6). */
  controllerEpoch: ControllerEpoch | undefined;
  /** Of the step under way. */
  out: PartitionOutput;
}

/** Nobody leads as far as this broker knows. */
export function noHint(leaderEpoch: LeaderEpoch): LeaderHint {
  return { leader: undefined, leaderEpoch };
}
