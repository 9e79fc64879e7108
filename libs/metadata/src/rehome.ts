/**
 * Replicas in a log directory that their broker has no more, as after the loss of a disk. A broker makes no empty log for
 * a replica that the metadata record elsewhere (L10), so the controller records another directory before.
 *
 * | the replica                                       | what becomes of it                                                |
 * |---------------------------------------------------|-------------------------------------------------------------------|
 * | out of ISR and ELR of a partition with a leader   | gets another directory of the broker, and is copied anew          |
 * | in the ELR                                        | waits, not electable: a disk that is not mounted is not lost (D8) |
 * | of a partition without a leader                   | waits: what lies there may be asked for by an unclean election    |
 * | of a broker that has a directory out of service   | waits: the one that is missing may be that one                    |
 */
import type { BrokerId, ControllerEpoch, DirectoryId } from "@tidemark/ids";
import type { MetadataChange } from "./change.ts";
import { eachPartition, type MetadataImage } from "./image.ts";
import type { Partition, Replica } from "./model.ts";
import { changePartition } from "./partition-change.ts";

/** A broker with all log directories that it is configured with, each of which works. */
export interface BrokerHome {
  readonly brokerId: BrokerId;
  readonly directoryIds: readonly DirectoryId[];
}

/**
 * Records other directories for replicas of a broker whose own are gone: each time the one that has the fewest. Partition
 * epoch + 1, so that a proposal that is late cannot bring a replica into the ISR that is empty by now.
 */
export function rehomeReplicas(
  image: MetadataImage,
  { brokerId, directoryIds }: BrokerHome,
  epoch: ControllerEpoch,
): readonly MetadataChange[] {
  const counts = new Map(directoryIds.map((id) => [id, 0]));
  const ownIn = ({ replicas }: Partition) => replicas.find((each) => each.brokerId === brokerId);
  for (const { partition } of eachPartition(image)) {
    const id = ownIn(partition)?.directoryId;
    const count = id === undefined ? undefined : counts.get(id);
    if (id !== undefined && count !== undefined) counts.set(id, count + 1);
  }
  const changes: MetadataChange[] = [];
  for (const { topic, partition } of eachPartition(image)) {
    const own = ownIn(partition);
    if (own?.directoryId === undefined || counts.has(own.directoryId) || isReliedUpon(partition, brokerId)) continue;
    const directoryId = emptiest(counts);
    if (directoryId === undefined) return changes;
    counts.set(directoryId, (counts.get(directoryId) ?? 0) + 1);
    const moved: Replica = { brokerId, directoryId };
    const replicas = partition.replicas.map((each) => (each === own ? moved : each));
    const { isr, leader } = partition;
    changes.push(changePartition(topic, { ...partition, replicas }, { isr, leader }, epoch).change);
  }
  return changes;
}

/** Whether what it held may be needed still. Metadata that are older than the replicas leave a partition without a leader. */
function isReliedUpon({ isr, elr, leader }: Partition, brokerId: BrokerId): boolean {
  return leader === undefined || isr.includes(brokerId) || elr.includes(brokerId);
}

function emptiest(counts: ReadonlyMap<DirectoryId, number>): DirectoryId | undefined {
  let best: DirectoryId | undefined;
  for (const [id, count] of counts) if (best === undefined || count < (counts.get(best) ?? 0)) best = id;
  return best;
}
