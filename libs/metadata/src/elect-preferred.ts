import type { BrokerId, PartitionIndex } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import type { MetadataChange } from "./change.ts";
import { type Decision, decided, type Refusal } from "./decision.ts";
import type { MetadataEvent } from "./events.ts";
import { eachPartition, type MetadataImage } from "./image.ts";
import { type Liveness, livenessOf } from "./liveness.ts";
import type { Partition, Topic } from "./model.ts";
import { changePartition, type PartitionStep } from "./partition-change.ts";
import type { ElectionContext } from "./register-broker.ts";
import { type PartitionSelection, type WantedPartition, wantedPartitions } from "./wanted-partitions.ts";

/** What became of one partition. */
export interface PreferredElectionResult {
  readonly topic: Topic;
  readonly partition: PartitionIndex;
  /** The state after the call. Undefined where the topic has no such partition. */
  readonly state: Partition | undefined;
  /** Undefined where the preferred replica was elected. */
  readonly refusal: Refusal | undefined;
}

/**
 * Gives leadership back to the first of the assigned replicas where it is in sync and alive (D4). Partitions that are
 * led by it already are told as ELECTION_NOT_NEEDED where they were named, and passed over otherwise. The answer has one
 * result a partition.
 */
export function electPreferred(
  image: MetadataImage,
  command: PartitionSelection,
  context: Pick<ElectionContext, "controllerEpoch">,
): Decision<readonly PreferredElectionResult[]> {
  const wanted = wantedPartitions(image, command);
  if ("kind" in wanted) return wanted;
  const liveness = livenessOf(image.sessions);
  const changes: MetadataChange[] = [];
  const events: MetadataEvent[] = [];
  const results: PreferredElectionResult[] = [];
  for (const { topic, partition, state } of wanted) {
    const refusal = preferredProblem(topic, { partition, state }, liveness);
    if (refusal?.reason === Reason.ELECTION_NOT_NEEDED && command.partitions === undefined) continue;
    if (refusal !== undefined || state === undefined) {
      results.push({ topic, partition, state, refusal });
      continue;
    }
    const step = giveBack(topic, state, context);
    changes.push(step.change);
    events.push(...step.events);
    results.push({ topic, partition, state: step.partition, refusal: undefined });
  }
  return decided(results, changes, events);
}

/**
 * Gives leaderships back by itself (D4): for each broker of whose preferred partitions more than a share is led
 * elsewhere, those of them that it can lead at once. The answer is their count.
 */
export function rebalanceLeaders(
  image: MetadataImage,
  command: {
    /** Up to this share, in percent, nothing is moved. 0: every partition is given back. */
    readonly imbalancePercentageMax: number;
  },
  context: Pick<ElectionContext, "controllerEpoch">,
): Decision<number> {
  const liveness = livenessOf(image.sessions);
  const preferredOf = new Map<BrokerId, { count: number; readonly elsewhere: Led[] }>();
  for (const { topic, partition: state } of eachPartition(image)) {
    const preferred = state.replicas[0]?.brokerId;
    if (preferred === undefined) continue;
    const found = preferredOf.get(preferred) ?? { count: 0, elsewhere: [] };
    preferredOf.set(preferred, found);
    found.count += 1;
    if (state.leader !== preferred) found.elsewhere.push({ topic, state });
  }
  const steps = [...preferredOf.values()]
    .filter(({ count, elsewhere }) => elsewhere.length * 100 > count * command.imbalancePercentageMax)
    .flatMap(({ elsewhere }) => elsewhere)
    .filter(
      ({ topic, state }) => preferredProblem(topic, { partition: state.partition, state }, liveness) === undefined,
    )
    .map(({ topic, state }) => giveBack(topic, state, context));
  return decided(
    steps.length,
    steps.map((step) => step.change),
    steps.flatMap((step) => step.events),
  );
}

interface Led {
  readonly topic: Topic;
  readonly state: Partition;
}

function giveBack(topic: Topic, state: Partition, context: Pick<ElectionContext, "controllerEpoch">): PartitionStep {
  const election = { cause: "preferred", rule: "preferred" } as const;
  const leader = state.replicas[0]?.brokerId;
  return changePartition(topic, state, { isr: state.isr, leader, election }, context.controllerEpoch);
}

function preferredProblem(
  topic: Topic,
  wanted: Omit<WantedPartition, "topic">,
  liveness: Liveness,
): Refusal | undefined {
  const { partition, state } = wanted;
  const because = (reason: Reason, message: string) => ({ reason, message, topic: topic.name, partition });
  if (state === undefined)
    return because(Reason.UNKNOWN_PARTITION, `Topic ${topic.name} has no partition ${partition}`);
  const preferred = state.replicas[0];
  if (preferred === undefined || preferred.brokerId === state.leader) {
    return because(Reason.ELECTION_NOT_NEEDED, "The preferred replica leads");
  }
  if (!state.isr.includes(preferred.brokerId) || !liveness.mayJoin(preferred)) {
    const text = `Broker ${preferred.brokerId}, the preferred replica, is not in sync and running`;
    return because(Reason.PREFERRED_LEADER_NOT_AVAILABLE, text);
  }
  return undefined;
}
