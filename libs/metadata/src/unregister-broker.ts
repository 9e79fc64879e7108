import type { BrokerId } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { type MetadataChange, putDeletedTopic, removal } from "./change.ts";
import { type Decision, decided, refused } from "./decision.ts";
import { eachPartition, type MetadataImage } from "./image.ts";
import { valuesOf } from "./persistent-map.ts";

/**
 * Forgets a broker that is gone for good (D7): no session, no replica. Deletions do not wait for it any more. Its broker
 * epochs begin anew if the id is ever used again, which nothing can mistake: it stands in no partition.
 */
export function unregisterBroker(image: MetadataImage, brokerId: BrokerId): Decision<undefined> {
  if (image.sessions.has(brokerId)) {
    return refused(Reason.INVALID_ARGUMENT, `Broker ${brokerId} has a living session; stop it first`);
  }
  if (!image.knownBrokers.has(brokerId)) {
    return refused(Reason.BROKER_NOT_REGISTERED, `There is no broker ${brokerId}`);
  }
  let replicas = 0;
  for (const { partition } of eachPartition(image)) {
    if (partition.replicas.some((replica) => replica.brokerId === brokerId)) replicas += 1;
  }
  if (replicas > 0) {
    return refused(Reason.INVALID_ARGUMENT, `Broker ${brokerId} holds ${replicas} replicas; move them elsewhere first`);
  }
  const changes: MetadataChange[] = [];
  for (const note of valuesOf(image.deletedTopics)) {
    if (!note.awaited.includes(brokerId)) continue;
    const awaited = note.awaited.filter((id) => id !== brokerId);
    const { topicId } = note;
    changes.push(
      awaited.length > 0 ? putDeletedTopic({ ...note, awaited }) : removal({ kind: "deletedTopic", topicId }),
    );
  }
  changes.push(removal({ kind: "knownBroker", brokerId }));
  return decided(undefined, changes, [{ kind: "brokerUnregistered", brokerId }]);
}
