import type { ActiveController } from "@tidemark/controller-link";
import type { BrokerEpoch, BrokerId } from "@tidemark/ids";
import { ClusterService } from "@tidemark/proto/cluster/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { createRpcClient, TidemarkError } from "@tidemark/rpc";

/** Gives out producer ids, each once in the life of the cluster, from blocks that the controller gives this broker. */
export interface ProducerIds {
  /** Rejects with a retriable TidemarkError where no controller gives a block. */
  next(): Promise<bigint>;
}

export interface ProducerIdsOptions {
  readonly controller: ActiveController;
  readonly brokerId: BrokerId;
  /** Undefined before the first registration. */
  readonly brokerEpoch: () => BrokerEpoch | undefined;
  /** An answer came from the active controller. */
  readonly onHeard: () => void;
}

/** How long a block is waited for, in milliseconds. */
const answerTimeoutMs = 5000;

export function createProducerIds(options: ProducerIdsOptions): ProducerIds {
  const block = { nextId: 0n, end: 0n };
  /** Whoever needs an id meanwhile waits for the same block. */
  let asking: Promise<void> | undefined;

  const refill = async () => {
    const given = await askForBlock(options);
    // An answer in JSON leaves zeros out: whoever got the id 0 would see none.
    block.nextId = given.firstProducerId === 0n ? 1n : given.firstProducerId;
    block.end = given.firstProducerId + BigInt(given.count);
  };

  return {
    async next() {
      while (block.nextId >= block.end) {
        asking ??= refill().finally(() => {
          asking = undefined;
        });
        await asking;
      }
      return block.nextId++;
    },
  };
}

/** A block whose answer is lost is lost with it: nobody gets its ids. */
async function askForBlock({ controller, brokerId, brokerEpoch, onHeard }: ProducerIdsOptions) {
  const { endpoint } = controller;
  try {
    const client = createRpcClient(ClusterService, controller.channel("control"));
    const request = { brokerId, brokerEpoch: brokerEpoch() ?? 0 };
    const given = await client.allocateProducerIds(request, { timeoutMs: answerTimeoutMs, signal: controller.givenUp });
    onHeard();
    if (given.count > 0 && given.firstProducerId >= 0n) return given;
    throw new TidemarkError({ reason: Reason.INTERNAL, message: "The controller gave a block without producer ids" });
  } catch (error) {
    if (!(error instanceof TidemarkError)) throw error;
    controller.learnFrom(error, endpoint);
    throw new TidemarkError({
      reason: Reason.UNAVAILABLE,
      message: `The controller gives out no producer ids now; retry in a moment: ${error.message}`,
      outcome: Outcome.NOT_APPLIED,
      retriable: true,
      cause: error,
    });
  }
}
