import type { ActiveController } from "@tidemark/controller-link";
import type { BrokerId, LeaderEpoch } from "@tidemark/ids";
import type { ReplicaId } from "@tidemark/log";
import { ClusterService } from "@tidemark/proto/cluster/v1";
import { createRpcClient, TidemarkError } from "@tidemark/rpc";

/** Asks the controller whether this broker still leads, for linearizable reads (P9). Never rejects. */
export type ConfirmLeader = (replica: ReplicaId, leaderEpoch: LeaderEpoch) => Promise<boolean | undefined>;

/** How long an answer is waited for, in milliseconds. Whoever reads asks again until its own deadline. */
const answerTimeoutMs = 5000;

/** Undefined: no answer came. */
export function createConfirmLeader(of: {
  readonly controller: ActiveController;
  readonly brokerId: BrokerId;
  readonly onHeard: () => void;
}): ConfirmLeader {
  const { controller, brokerId, onHeard } = of;
  return async ({ topicId, partition }, leaderEpoch) => {
    const { endpoint } = controller;
    try {
      const client = createRpcClient(ClusterService, controller.channel("control"));
      const question = { topicId, partition, brokerId, leaderEpoch };
      const { leads } = await client.confirmLeader(question, {
        timeoutMs: answerTimeoutMs,
        signal: controller.givenUp,
      });
      onHeard();
      return leads;
    } catch (error) {
      if (error instanceof TidemarkError) controller.learnFrom(error, endpoint);
      return undefined;
    }
  };
}
