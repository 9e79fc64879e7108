import { type ActiveController, backoffMs } from "@tidemark/controller-link";
import type { BrokerEpoch, BrokerId } from "@tidemark/ids";
import { ClusterService } from "@tidemark/proto/cluster/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { createRpcClient, TidemarkError } from "@tidemark/rpc";
import { delay, type Runtime } from "@tidemark/runtime";

/**
 * Gives out producer ids, each once in the life of the cluster, from blocks that the controller gives this broker. A block
 * is asked for before it is needed, so that new producers can begin while no controller is there, until the ids in hand are
 * used up.
 */
export interface ProducerIds {
  /** Rejects with a retriable TidemarkError where none is in hand and no controller gives a block. */
  next(): Promise<bigint>;
  /**
   * Asks until enough ids are in hand, or until `signal` is aborted; asks for nothing where they are. To be called when the
   * broker is registered. Never rejects.
   */
  stock(signal: AbortSignal): Promise<void>;
}

export interface ProducerIdsOptions {
  readonly controller: ActiveController;
  readonly brokerId: BrokerId;
  /** Undefined before the first registration. */
  readonly brokerEpoch: () => BrokerEpoch | undefined;
  readonly runtime: Pick<Runtime, "scheduler" | "random">;
  /** An answer came from the active controller. */
  readonly onHeard: () => void;
}

/** How long a block is waited for, in milliseconds. */
const answerTimeoutMs = 5000;

export function createProducerIds(options: ProducerIdsOptions): ProducerIds {
  const { scheduler, random } = options.runtime;
  /** What is in hand: the block that ids are taken from, and at times the next one. */
  const blocks: { nextId: bigint; readonly end: bigint }[] = [];
  /** Below it another block is asked for: half of the last one. */
  let lowMark = 1n;
  /** Whoever needs an id meanwhile waits for the same block. */
  let asking: Promise<void> | undefined;

  const isLow = () => blocks.reduce((sum, { nextId, end }) => sum + end - nextId, 0n) < lowMark;

  const refill = (): Promise<void> => {
    asking ??= askForBlock(options)
      .then(({ firstProducerId, count }) => {
        // An answer in JSON leaves zeros out: whoever got the id 0 would see none.
        blocks.push({ nextId: firstProducerId === 0n ? 1n : firstProducerId, end: firstProducerId + BigInt(count) });
        lowMark = BigInt(Math.ceil(count / 2));
      })
      .finally(() => {
        asking = undefined;
      });
    return asking;
  };

  const take = (): bigint | undefined => {
    while (blocks[0] !== undefined && blocks[0].nextId >= blocks[0].end) blocks.shift();
    return blocks[0] === undefined ? undefined : blocks[0].nextId++;
  };

  return {
    async next() {
      for (;;) {
        const id = take();
        if (id === undefined) {
          await refill();
          continue;
        }
        // Whoever takes the next one asks again where this fails.
        if (isLow()) refill().catch(() => undefined);
        return id;
      }
    },
    async stock(signal) {
      for (let failures = 0; isLow() && !signal.aborted; failures++) {
        try {
          await refill();
        } catch {
          await delay(scheduler, backoffMs(failures, random), signal).catch(() => undefined);
        }
      }
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
