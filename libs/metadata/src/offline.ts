/**
 * Replicas that their broker cannot serve though it lives and their directory works: above all one whose log cannot be
 * opened, or that broke an invariant. Each is marked in its partition with the broker epoch in which that was told, and is
 * as one whose broker is gone, until the broker names it no longer or registers anew:
 *
 * 1. It leaves leadership and ISR, and another member of the ISR leads, or of the ELR.
 * 2. Nothing of it is known to be lost: by R13 it stays eligible, and leads as soon as it is served and nobody else can.
 * 3. Two that cannot be served do not hand a partition to each other: both are marked, and nobody leads it.
 */
import type { MetadataChange } from "./change.ts";
import { type Decision, decided } from "./decision.ts";
import type { MetadataEvent } from "./events.ts";
import { findPartition, findTopicById, type MetadataImage, receiptId } from "./image.ts";
import { livenessOf } from "./liveness.ts";
import { markOffline, type OfflineReplicas } from "./offline-mark.ts";
import { type ElectionContext, sessionProblem } from "./register-broker.ts";
import { settlePartition } from "./settle.ts";

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
