import type { MessageInitShape } from "@bufbuild/protobuf";
import { alterPartitions, type IsrProposal, type IsrProposalResult, writePartition } from "@tidemark/metadata";
import type {
  AlterPartitionItem,
  AlterPartitionRequest,
  AlterPartitionResponseSchema,
  AlterPartitionResultSchema,
} from "@tidemark/proto/cluster/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError, toErrorDetail, withOutcome } from "@tidemark/rpc";
import type { ControllerCore } from "../core.ts";
import { refusalError } from "../errors.ts";
import { readBroker, readLeaderEpoch, readPartition, readTopicId } from "./requests.ts";

type Result = MessageInitShape<typeof AlterPartitionResultSchema>;

/** Proposals that are decided together: with one change each they fit one batch, and are committed or not as one. */
const proposalsMax = 100;

/** Sent by leaders. Proposals are decided in their order; each has its own result. */
export async function alterPartition(
  core: ControllerCore,
  request: AlterPartitionRequest,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof AlterPartitionResponseSchema>> {
  const term = core.role.require();
  const broker = readBroker(request);
  const proposals = request.partitions.map(readProposal);
  const results: Result[] = [];
  for (let from = 0; from < proposals.length || from === 0; from += proposalsMax) {
    const some = proposals.slice(from, from + proposalsMax);
    const decide = () =>
      core.queue.submit(
        {
          name: "alter partitions",
          decide: (image, epoch) => alterPartitions(image, { ...broker, proposals: some }, epoch),
        },
        signal,
      );
    try {
      results.push(...(await decide()).answer.map(resultOf));
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      // The proposals before are decided already, and the error is the answer to all: it must not settle those.
      if (!isNotAttempted(error)) throw from === 0 ? error : withOutcome(error, Outcome.UNKNOWN);
      results.push(...some.map((proposal) => failed(proposal, Reason.NOT_ATTEMPTED, error.message)));
    }
  }
  return { controllerEpoch: term.epoch, results };
}

/** The store took nothing and this controller is still the active one: the leader may settle the proposal as not applied. */
function isNotAttempted({ reason, outcome }: TidemarkError): boolean {
  const ofStore: readonly Reason[] = [Reason.RESOURCE_EXHAUSTED, Reason.METADATA_NO_SPACE];
  return outcome === Outcome.NOT_APPLIED && ofStore.includes(reason);
}

function readProposal(item: AlterPartitionItem): IsrProposal {
  return {
    topicId: readTopicId(item.topicId),
    partition: readPartition(item.partition),
    leaderEpoch: readLeaderEpoch(item.leaderEpoch),
    partitionEpoch: item.partitionEpoch,
    isr: item.isr.map(readBroker),
    recovered: item.recovered,
  };
}

function resultOf(result: IsrProposalResult): Result {
  if (result.kind === "refused") {
    return failed(result.proposal, result.refusal.reason, result.refusal.message);
  }
  const { topicId, partition } = result.partition;
  return { topicId, partition, state: writePartition(result.partition) };
}

function failed({ topicId, partition }: IsrProposal, reason: Reason, message: string): Result {
  return { topicId, partition, error: toErrorDetail(refusalError({ reason, message, partition })) };
}
