import type { Clock } from "@tidemark/runtime";
import type { PartitionLinks } from "../partition/replica-state.ts";
import type { ReplicaFetcher } from "../replication/replica-exchange.ts";
import type { ConfirmLeader } from "./confirm-leader.ts";
import type { IsrChanges } from "./isr-changes.ts";

/** The ways out of a broker's partitions, put together: answers come back as inputs to the machine that asked. */
export function createPartitionLinks(of: {
  readonly fetcher: ReplicaFetcher;
  readonly isrChanges: IsrChanges;
  readonly confirmLeader: ConfirmLeader;
  readonly clock: Clock;
}): PartitionLinks {
  const { fetcher, isrChanges, confirmLeader, clock } = of;
  return {
    fetcher,
    alterPartition(replica, request, answered) {
      const { attempt } = request;
      isrChanges.propose(replica, request, (answer) => {
        answered({ kind: "proposalAnswered", attempt, answer, nowMs: clock.monotonicMs() });
      });
    },
    confirmLeader(replica, { confirmation, leaderEpoch }, answered) {
      const tell = (leads: boolean | undefined) => {
        if (leads === undefined) return;
        answered({ kind: "leadershipConfirmed", confirmation, leads, nowMs: clock.monotonicMs() });
      };
      confirmLeader(replica, leaderEpoch).then(tell, () => undefined);
    },
  };
}
