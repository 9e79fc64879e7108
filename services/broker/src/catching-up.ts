import { type MetadataVersion, reaches } from "@tidemark/controller-link";
import type { BrokerId } from "@tidemark/ids";
import { eachPartition, findPartition, type MetadataImage, type Partition } from "@tidemark/metadata";

/** What a broker learns, and what its readiness follows from. */
export interface CatchingUp {
  /** A session began there in the metadata. */
  registered(at: MetadataVersion): void;
  /** The session is over. */
  lost(): void;
  /** The metadata of this version are applied. */
  applied(image: MetadataImage, version: MetadataVersion): void;
}

/**
 * Whether a broker is ready: registered, and every replica that it holds was in sync once since the session began. A replica
 * that falls behind later does not take that back; the loss of the session does, by which it left every ISR that it could.
 *
 * | replica                             | keeps the broker from being ready                      |
 * |-------------------------------------|--------------------------------------------------------|
 * | leader, or in the ISR of a leader   | no                                                     |
 * | out of the ISR, there is a leader   | yes: it catches up                                     |
 * | no leader, in the ISR or the ELR    | yes: it is about to be elected                         |
 * | no leader, in neither               | no: there is nobody to catch up with                   |
 * | being added, or offline here        | no: others serve instead, and it may never come to it  |
 */
export function createCatchingUp(options: {
  readonly brokerId: BrokerId;
  /** The replica cannot be served here: its directory failed, or its log is damaged. */
  readonly isOffline: (partition: Partition) => boolean;
  readonly onReady: (isReady: boolean) => void;
}): CatchingUp {
  const { brokerId, isOffline, onReady } = options;
  let session: MetadataVersion | undefined;
  let hasCaughtUp = false;
  /** Looked at first, so that most steps of the metadata cost one look. */
  let lastBehind: Partition | undefined;

  const isBehind = (partition: Partition) => waitsFor(partition, brokerId) && !isOffline(partition);
  const findBehind = (image: MetadataImage): Partition | undefined => {
    const again = lastBehind && findPartition(image, lastBehind.topicId, lastBehind.partition);
    if (again !== undefined && isBehind(again)) return again;
    for (const { partition } of eachPartition(image)) if (isBehind(partition)) return partition;
    return undefined;
  };

  return {
    registered(at) {
      session = at;
    },
    lost() {
      session = undefined;
      hasCaughtUp = false;
      onReady(false);
    },
    applied(image, version) {
      if (hasCaughtUp || session === undefined || !reaches(version, session)) return;
      lastBehind = findBehind(image);
      if (lastBehind !== undefined) return;
      hasCaughtUp = true;
      onReady(true);
    },
  };
}

function waitsFor({ replicas, adding, isr, elr, leader }: Partition, self: BrokerId): boolean {
  if (!replicas.some(({ brokerId }) => brokerId === self) || adding.includes(self)) return false;
  return leader === undefined ? isr.includes(self) || elr.includes(self) : !isr.includes(self);
}
