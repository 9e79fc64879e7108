/**
 * Replicas that their broker cannot serve though it lives and their directory works: above all one whose log cannot be
 * opened, or that broke an invariant. Each is marked in its partition with the broker epoch in which that was told, and is
 * as one whose broker is gone, until the broker names it no longer or registers anew:
 *
 * 1. It leaves leadership and ISR, and another member of the ISR leads, or of the ELR.
 * 2. Nothing of it is known to be lost: by R13 it stays eligible, and leads as soon as it is served and nobody else can.
 * 3. Two that cannot be served do not hand a partition to each other: both are marked, and nobody leads it.
 */
import type { BrokerEpoch, BrokerId } from "@tidemark/ids";
import type { MetadataChange } from "./change.ts";
import type { ReplicaId } from "./damage.ts";
import { type Decision, decided } from "./decision.ts";
import type { MetadataEvent } from "./events.ts";
import { findPartition, findTopicById, type MetadataImage, receiptId } from "./image.ts";
import { livenessOf } from "./liveness.ts";
import type { Partition, Replica } from "./model.ts";
import { type ElectionContext, sessionProblem } from "./register-broker.ts";
import { settlePartition } from "./settle.ts";

/** What a broker says of replicas that it holds. */
export interface OfflineReplicas {
  readonly brokerId: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  /** It cannot serve them. */
  readonly offline: readonly ReplicaId[];
  /** It could not, and does not say so any more. */
  readonly served: readonly ReplicaId[];
}

/** Whether some of it is not noted in an image yet. */
export function isNewOffline(image: MetadataImage, command: OfflineReplicas): boolean {
  const mark = markOffline(command);
  return [...command.offline, ...command.served].some(({ topicId, partition }) => {
    const found = findPartition(image, topicId, partition);
    return found !== undefined && mark(found) !== found;
  });
}

/** Moves leaderships and ISR memberships off replicas that are not served, and back where they are. A repeat changes nothing. */
export function reportOffline(
  image: MetadataImage,
  command: OfflineReplicas,
  context: ElectionContext,
): Decision<undefined> {
  const problem = sessionProblem(image, command);
  if (problem !== undefined) return problem;
  const liveness = livenessOf(image.sessions);
  const mark = markOffline(command);
  const named = new Map([...command.offline, ...command.served].map((replica) => [receiptId(replica), replica]));
  const changes: MetadataChange[] = [];
  const events: MetadataEvent[] = [];
  for (const { topicId, partition } of named.values()) {
    const topic = findTopicById(image, topicId);
    const state = findPartition(image, topicId, partition);
    if (topic === undefined || state === undefined || mark(state) === state) continue;
    const step = settlePartition(topic, state, { ...context, cause: "replica offline", liveness, mark });
    if (step === undefined) continue;
    changes.push(step.change);
    events.push(...step.events);
  }
  return decided(undefined, changes, events);
}

/** Whether a broker's replica of a partition is marked as not served in this broker epoch. */
export function isMarkedOffline({ replicas }: Partition, brokerId: BrokerId, epoch: BrokerEpoch): boolean {
  return replicas.some((replica) => replica.brokerId === brokerId && replica.offlineIn === epoch);
}

/** Gives the very same partition back where nothing is to be noted. What is told both ways is not served. */
function markOffline({ brokerId, brokerEpoch, offline, served }: OfflineReplicas): (partition: Partition) => Partition {
  const [notServed, servedAgain] = [new Set(offline.map(receiptId)), new Set(served.map(receiptId))];
  return (partition) => {
    const id = receiptId(partition);
    const isMarked = isMarkedOffline(partition, brokerId, brokerEpoch);
    const isToMark = notServed.has(id);
    const isToChange = isToMark ? !isMarked : isMarked && servedAgain.has(id);
    if (!isToChange || !partition.replicas.some((replica) => replica.brokerId === brokerId)) return partition;
    const change = (replica: Replica) => (isToMark ? { ...replica, offlineIn: brokerEpoch } : unmarked(replica));
    const replicas = partition.replicas.map((each) => (each.brokerId === brokerId ? change(each) : each));
    return { ...partition, replicas };
  };
}

function unmarked({ brokerId, directoryId, damagedIn }: Replica): Replica {
  return { brokerId, directoryId, ...(damagedIn === undefined ? {} : { damagedIn }) };
}
