import { findReceipt, findTopic, listPartitions, type MetadataImage, type Receipt } from "@tidemark/metadata";

/** What unclean elections may take away of a topic, and no more than their receipts say (P5). */
export interface AllowedLosses {
  /** Whether an unclean election may take records of this topic away. */
  mayLose(topic: string): boolean;
  /** Whether a receipt says that some replica cut this offset. Receipts are complete when everything has converged. */
  isCut(topic: string, partition: number, offset: bigint): boolean;
}

export interface LossWatch extends AllowedLosses {
  /** To be called with every image: of each partition they hold the last receipt alone. */
  observe(image: MetadataImage): void;
}

/** `topics`: those of which something may be lost, by name; the name is never given to another topic. */
export function createLossWatch(topics: readonly string[]): LossWatch {
  /** By partition, and then by leader epoch: the latest form of the receipt. */
  const receipts = new Map<string, Map<number, Receipt>>();
  return {
    mayLose: (topic) => topics.includes(topic),
    isCut(topic, partition, offset) {
      const known = [...(receipts.get(`${topic}-${partition}`)?.values() ?? [])];
      return known.some(({ cuts }) => cuts.some(({ firstOffset, logEnd }) => firstOffset <= offset && offset < logEnd));
    },
    observe(image) {
      for (const topic of topics) {
        const found = findTopic(image, topic);
        if (found === undefined) continue;
        for (const { topicId, partition } of listPartitions(image, found.topicId)) {
          const receipt = findReceipt(image, { topicId, partition });
          if (receipt === undefined) continue;
          const key = `${topic}-${partition}`;
          const known = receipts.get(key) ?? new Map<number, Receipt>();
          receipts.set(key, known.set(receipt.leaderEpoch, receipt));
        }
      }
    },
  };
}
