import { findReceipt, findTopic, listPartitions, type MetadataImage, type Receipt } from "@tidemark/metadata";

/** What unclean elections may take away of a topic, and no more than their receipts say (P5). */
export interface AllowedLosses {
  /** Whether an unclean election may take records of this topic away. */
  mayLose(topic: string): boolean;
  /** Whether a receipt says that some replica cut this offset. Receipts are complete when everything has converged. */
  isCut(topic: string, partition: number, offset: bigint): boolean;
  /** Whether a receipt says that some replica cut anything at or above this offset. */
  isCutFrom(topic: string, partition: number, offset: bigint): boolean;
  /**
   * Whether a consumer may have been told that this offset was cut: it was, or the log of a leader that was elected
   * uncleanly ended below it. That one may be gone before anybody cut anything, and the next one may have it all.
   */
  mayBeToldCut(topic: string, partition: number, offset: bigint): boolean;
}

export interface LossWatch extends AllowedLosses {
  /** To be called with every image: of each partition they hold the last receipt alone. */
  observe(image: MetadataImage): void;
}

/** `topics`: those of which something may be lost, by name; the name is never given to another topic. */
export function createLossWatch(topics: readonly string[]): LossWatch {
  /** By partition, and then by leader epoch: the latest form of the receipt. */
  const receipts = new Map<string, Map<number, Receipt>>();
  const knownOf = (topic: string, partition: number) => [...(receipts.get(`${topic}-${partition}`)?.values() ?? [])];
  const isCut = (topic: string, partition: number, offset: bigint) =>
    knownOf(topic, partition).some(({ cuts }) =>
      cuts.some(({ firstOffset, logEnd }) => firstOffset <= offset && offset < logEnd),
    );
  return {
    mayLose: (topic) => topics.includes(topic),
    isCut,
    isCutFrom: (topic, partition, offset) =>
      knownOf(topic, partition).some(({ cuts }) => cuts.some(({ logEnd }) => offset < logEnd)),
    mayBeToldCut: (topic, partition, offset) =>
      isCut(topic, partition, offset) ||
      knownOf(topic, partition).some(({ leader, positions }) =>
        positions.some(({ brokerId, logEnd }) => brokerId === leader && logEnd <= offset),
      ),
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
