/**
 * Replicas that their broker cannot serve though it lives and their directory works: above all one whose log cannot be
 * opened, or that broke an invariant. Nothing of them is known to be lost. So they leave leadership and ISR as those of a
 * broker that stops do (D5), where another member can lead, and R13 keeps them eligible.
 */
import type { BrokerEpoch, BrokerId } from "@tidemark/ids";
import type { MetadataChange } from "./change.ts";
import type { ReplicaId } from "./damage.ts";
import { type Decision, decided } from "./decision.ts";
import type { MetadataEvent } from "./events.ts";
import { findPartition, findTopicById, type MetadataImage } from "./image.ts";
import { livenessOf } from "./liveness.ts";
import type { Partition, Replica } from "./model.ts";
import { type ElectionContext, sessionProblem } from "./register-broker.ts";
import { settlePartition } from "./settle.ts";

/** What a broker says that it cannot serve. */
export interface OfflineReplicas {
  readonly brokerId: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  readonly offline: readonly ReplicaId[];
}

/** Whether some of it stands where another can take its place. */
export function isToStepAside(image: MetadataImage, { brokerId, offline }: OfflineReplicas): boolean {
  return offline.some(({ topicId, partition }) => {
    const state = findPartition(image, topicId, partition);
    return state !== undefined && hasSuccessor(image, state, brokerId);
  });
}

/** Moves leaderships and ISR memberships off replicas that are not served. A repeat changes nothing. */
export function reportOffline(
  image: MetadataImage,
  command: OfflineReplicas,
  context: ElectionContext,
): Decision<undefined> {
  const problem = sessionProblem(image, command);
  if (problem !== undefined) return problem;
  const { brokerId } = command;
  const alive = livenessOf(image.sessions);
  const isOther = (replica: Replica) => replica.brokerId !== brokerId;
  const liveness = {
    mayStay: (replica: Replica) => isOther(replica) && alive.mayStay(replica),
    mayJoin: (replica: Replica) => isOther(replica) && alive.mayJoin(replica),
  };
  const named = new Map(command.offline.map((replica) => [`${replica.topicId}/${replica.partition}`, replica]));
  const changes: MetadataChange[] = [];
  const events: MetadataEvent[] = [];
  for (const { topicId, partition } of named.values()) {
    const topic = findTopicById(image, topicId);
    const state = findPartition(image, topicId, partition);
    if (topic === undefined || state === undefined || !hasSuccessor(image, state, brokerId)) continue;
    const step = settlePartition(topic, state, { ...context, cause: "replica offline", liveness });
    if (step === undefined) continue;
    changes.push(step.change);
    events.push(...step.events);
  }
  return decided(undefined, changes, events);
}

/**
 * Whether a broker stands in the ISR with another member that can lead. Not whether an eligible replica could: two that
 * cannot be served would hand the partition to each other for ever.
 */
function hasSuccessor(image: MetadataImage, { replicas, isr }: Partition, brokerId: BrokerId): boolean {
  if (!isr.includes(brokerId)) return false;
  const { mayStay } = livenessOf(image.sessions);
  return replicas.some((each) => each.brokerId !== brokerId && isr.includes(each.brokerId) && mayStay(each));
}
