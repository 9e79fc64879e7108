/** Receipts of unclean elections (D3): opened with the election, completed as each replica says what it cut. */
import type { BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId } from "@tidemark/ids";
import { type Decision, decided } from "./decision.ts";
import { findReceipt, type MetadataImage } from "./image.ts";
import type { Receipt } from "./model.ts";
import { withCut, writeReceipts } from "./receipt-cuts.ts";
import { sessionProblem } from "./register-broker.ts";

/** What one replica says that it cut. */
export interface ReportedTruncation {
  readonly topicId: TopicId;
  readonly partition: PartitionIndex;
  /** Leader epoch whose leader it follows, or in which it leads itself. */
  readonly leaderEpoch: LeaderEpoch;
  readonly firstOffset: Offset;
  /** `firstOffset` where nothing had to be cut. */
  readonly logEnd: Offset;
}

/** Whether an open receipt awaits what a replica reports. One that follows an older leader has not cut for it yet. */
export function isAwaitedTruncation(image: MetadataImage, brokerId: BrokerId, reported: ReportedTruncation): boolean {
  const receipt = findReceipt(image, reported);
  return receipt !== undefined && receipt.awaited.includes(brokerId) && reported.leaderEpoch >= receipt.leaderEpoch;
}

/** Enters what a broker's replicas cut into the receipts that await it. What no receipt awaits is passed over. */
export function reportTruncations(
  image: MetadataImage,
  command: {
    readonly brokerId: BrokerId;
    readonly brokerEpoch: BrokerEpoch;
    readonly truncations: readonly ReportedTruncation[];
  },
): Decision<undefined> {
  const problem = sessionProblem(image, command);
  if (problem !== undefined) return problem;
  const { brokerId } = command;
  const entered = new Map<string, Receipt>();
  for (const reported of command.truncations) {
    const receipt = findReceipt(image, reported);
    const id = `${reported.topicId}/${reported.partition}`;
    if (receipt === undefined || entered.has(id) || !isAwaitedTruncation(image, brokerId, reported)) continue;
    const { firstOffset, logEnd } = reported;
    entered.set(id, withCut(receipt, { brokerId, firstOffset, logEnd }));
  }
  const { changes, events } = writeReceipts(image, [...entered.values()]);
  return decided(undefined, changes, events);
}
