/** The mark of a replica that its broker cannot serve, as it stands in its partition. `offline.ts` says what follows from it. */
import type { BrokerEpoch, BrokerId } from "@tidemark/ids";
import type { ReplicaId } from "./damage.ts";
import { receiptId } from "./image.ts";
import type { Partition, Replica } from "./model.ts";

/** What a broker says of replicas that it holds. */
export interface OfflineReplicas {
  readonly brokerId: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  /** It cannot serve them. */
  readonly offline: readonly ReplicaId[];
  /** It could not, and does not say so any more. */
  readonly served: readonly ReplicaId[];
}

/** Whether a broker's replica of a partition is marked as not served in this broker epoch. */
export function isMarkedOffline({ replicas }: Partition, brokerId: BrokerId, epoch: BrokerEpoch): boolean {
  return replicas.some((replica) => replica.brokerId === brokerId && replica.offlineIn === epoch);
}

/**
 * How it is noted in partitions. What is returned gives the very same partition back where nothing is to be noted. What is
 * told both ways is not served.
 */
export function markOffline({
  brokerId,
  brokerEpoch,
  offline,
  served,
}: OfflineReplicas): (partition: Partition) => Partition {
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
