/**
 * What replicas cut, as receipts of unclean elections have it (D3). A replica whose log is damaged or lost before it said
 * what it cut is copied from the new leader: the copy knows nothing of what stood there, and would say that nothing had
 * to be cut. So its entry is made as soon as its log is known to be given up, and the copy is not asked.
 */
import { type BrokerId, offset } from "@tidemark/ids";
import { type MetadataChange, putReceipt } from "./change.ts";
import type { ReplicaId } from "./damage.ts";
import type { MetadataEvent } from "./events.ts";
import { findPartition, findReceipt, findTopicById, type MetadataImage, receiptId } from "./image.ts";
import type { Receipt, ReplicaCut } from "./model.ts";

/** What becomes of receipts. */
export interface ReceiptStep {
  readonly changes: readonly MetadataChange[];
  readonly events: readonly MetadataEvent[];
}

/** Enters into the receipts that await them that these replicas of a broker are given up, to be copied anew. */
export function enterCopiedAnew(image: MetadataImage, brokerId: BrokerId, replicas: readonly ReplicaId[]): ReceiptStep {
  const entered = new Map<string, Receipt>();
  for (const replica of replicas) {
    const receipt = findReceipt(image, replica);
    const holds = findPartition(image, replica.topicId, replica.partition)?.replicas.some(
      (each) => each.brokerId === brokerId,
    );
    if (receipt === undefined || holds !== true || !receipt.awaited.includes(brokerId)) continue;
    entered.set(receiptId(replica), withCut(receipt, copiedAnew(brokerId)));
  }
  return writeReceipts(image, [...entered.values()]);
}

/** The entry of a replica that is copied anew. */
export function copiedAnew(brokerId: BrokerId): ReplicaCut {
  return { brokerId, firstOffset: offset(0n), logEnd: offset(0n), copiedAnew: true };
}

/** A receipt with what one replica cut, and without waiting for it. */
export function withCut(receipt: Receipt, cut: ReplicaCut): Receipt {
  const awaited = receipt.awaited.filter((id) => id !== cut.brokerId);
  return { ...receipt, cuts: [...receipt.cuts, cut], awaited };
}

/** Receipts that changed, and what is told of them. */
export function writeReceipts(image: MetadataImage, receipts: readonly Receipt[]): ReceiptStep {
  const changes: MetadataChange[] = [];
  const events: MetadataEvent[] = [];
  for (const receipt of receipts) {
    changes.push(putReceipt(receipt));
    const topic = findTopicById(image, receipt.topicId);
    if (topic !== undefined) events.push({ kind: "receipt", topic: topic.name, partition: receipt.partition, receipt });
  }
  return { changes, events };
}
