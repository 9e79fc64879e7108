/** ElectLeaders of AdminService. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  electPreferred,
  type PartitionSelection,
  type PreferredElectionResult,
  type Refusal,
  type ReplicaId,
  type WantedPartition,
  wantedPartitions,
} from "@tidemark/metadata";
import {
  type ElectionResultSchema,
  ElectionType,
  type ElectLeadersRequest,
  type ElectLeadersResponseSchema,
} from "@tidemark/proto/admin/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { toErrorDetail } from "@tidemark/rpc";
import type { ControllerCore } from "../core.ts";
import { refusalError } from "../errors.ts";
import { allowsUnclean } from "../unclean/leaderless.ts";
import { readPartition } from "./requests.ts";

export async function elect(
  core: ControllerCore,
  request: ElectLeadersRequest,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof ElectLeadersResponseSchema>> {
  const command = {
    name: request.topic === "" ? undefined : request.topic,
    partitions: request.partitions.length === 0 ? undefined : request.partitions.map(readPartition),
  };
  if (request.type === ElectionType.UNCLEAN) return { results: await electUncleanly(core, command, signal) };
  const { answer } = await core.queue.submit(
    {
      name: "elect preferred leaders",
      decide: (image, controllerEpoch) => electPreferred(image, command, { controllerEpoch }),
    },
    signal,
  );
  return { results: answer.map(electionResult) };
}

/**
 * Unclean elections on command. A named topic is permission enough; where all topics are meant, only those that allow
 * it are touched. Partitions that have a leader are told so where they were named, and passed over otherwise; those of
 * a named topic are asked whether they hold more than the metadata know of.
 */
async function electUncleanly(
  core: ControllerCore,
  selection: PartitionSelection,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof ElectionResultSchema>[]> {
  await core.queue.barrier(core.role.require());
  const { image } = core.follower;
  const wanted = wantedPartitions(image, selection);
  if ("kind" in wanted) throw refusalError(wanted.refusal);
  const refusals: PreferredElectionResult[] = [];
  const asked: ReplicaId[] = [];
  for (const each of wanted) {
    const refusal = uncleanProblem(each, selection, core.settings.uncleanElection);
    if (refusal === undefined) asked.push({ topicId: each.topic.topicId, partition: each.partition });
    else refusals.push({ ...each, refusal });
  }
  const elected = asked.length === 0 ? [] : await core.unclean.command(asked, signal);
  const wasNamed = selection.partitions !== undefined;
  return [...elected, ...refusals]
    .filter(({ refusal }) => wasNamed || refusal?.reason !== Reason.ELECTION_NOT_NEEDED)
    .map(electionResult);
}

function uncleanProblem(
  { topic, partition, state }: WantedPartition,
  selection: PartitionSelection,
  clusterAllows: boolean,
): Refusal | undefined {
  const because = (reason: Reason, message: string) => ({ reason, message, topic: topic.name, partition });
  if (state === undefined)
    return because(Reason.UNKNOWN_PARTITION, `Topic ${topic.name} has no partition ${partition}`);
  if (state.leader !== undefined && selection.name === undefined)
    return because(Reason.ELECTION_NOT_NEEDED, `Broker ${state.leader} leads`);
  if (selection.name === undefined && state.regressedFrom !== undefined) {
    const text = `Replicas of ${topic.name}-${partition} have seen more than the metadata know of; name the topic to decide whose records stay`;
    return because(Reason.METADATA_REGRESSED, text);
  }
  if (selection.name !== undefined || allowsUnclean(topic, clusterAllows)) return undefined;
  const text = `Topic ${topic.name} does not allow unclean elections; name it to elect all the same`;
  return because(Reason.UNCLEAN_ELECTION_NOT_ALLOWED, text);
}

function electionResult(result: PreferredElectionResult): MessageInitShape<typeof ElectionResultSchema> {
  const { topic, partition, state, refusal } = result;
  const leader = state?.leader;
  return {
    topic: topic.name,
    partition,
    leaderEpoch: state?.leaderEpoch ?? 0,
    ...(leader === undefined ? {} : { leader }),
    ...(refusal === undefined ? {} : { error: toErrorDetail(refusalError(refusal)), message: refusal.message }),
  };
}
