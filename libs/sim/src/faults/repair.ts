import { listPartitions, listTopics, type MetadataImage } from "@tidemark/metadata";
import type { SimNode } from "../cluster/node.ts";
import type { FaultWorld } from "./fault-kinds.ts";

/** How often somebody looks, in milliseconds. */
const lookMs = 3000;

/**
 * Starts brokers anew that gave up a log directory, from time to time and for ever: nothing else brings one back that
 * failed. What was on a disk that was replaced does not come back with a start: there it is done only where a directory
 * is out of service.
 */
export function repairDirectories({ engine, cluster, image }: FaultWorld, note: (text: string) => void): void {
  const repair = () => {
    for (const node of cluster.brokers) {
      if (node.service === undefined || !hasGivenUp(image(), node)) continue;
      note(`start ${node.name} anew, which gave up a log directory`);
      node.kill();
      node.boot();
    }
    engine.after(lookMs, repair);
  };
  engine.after(lookMs, repair);
}

/** Whether the metadata show a replica in a directory that the broker's session does not have, and a start may bring. */
function hasGivenUp(image: MetadataImage, { identity: { id, settings }, device }: SimNode): boolean {
  const session = [...image.sessions.values()].find(({ brokerId }) => brokerId === id);
  if (session === undefined) return false;
  const configured = String(settings["log.dirs"]).split(",").length;
  if (device.wasLost && session.directoryIds.length === configured) return false;
  return listTopics(image).some(({ topicId }) =>
    listPartitions(image, topicId).some(({ replicas }) =>
      replicas.some(
        ({ brokerId, directoryId }) =>
          brokerId === id && directoryId !== undefined && !session.directoryIds.includes(directoryId),
      ),
    ),
  );
}
