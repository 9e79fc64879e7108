/**
 * How one partition's state follows another: the epochs, the eligible leader replicas, the events. Every decision about
 * a partition that exists goes through `changePartition`, so that no rule is kept in one place and forgotten in another.
 */
import {
  type BrokerId,
  type ControllerEpoch,
  type LeaderEpoch,
  leaderEpoch,
  type PartitionEpoch,
  partitionEpoch,
} from "@tidemark/ids";
import { type MetadataChange, putPartition } from "./change.ts";
import { equalValues } from "./equal-values.ts";
import type { ElectionCause, ElectionRule, MetadataEvent } from "./events.ts";
import type { Partition, Replica, Topic } from "./model.ts";

/** What is wanted of a partition. Fields that are absent stay. */
export interface WantedState {
  readonly isr: readonly BrokerId[];
  readonly leader: BrokerId | undefined;
  readonly minIsr?: number;
  readonly recovering?: boolean;
  /** Replicas that may lack what they had: they are not eligible, whatever R13 says (D8). */
  readonly lost?: readonly BrokerId[];
  /** Given where leadership was decided anew: the leader epoch rises, also when the same broker leads again (D8). */
  readonly election?: {
    readonly cause: ElectionCause;
    readonly rule: ElectionRule;
    /** Seen by replicas: the leader epoch rises above it too. */
    readonly above?: LeaderEpoch | undefined;
  };
}

/** A partition's next state with its change and events. */
export interface PartitionStep {
  readonly partition: Partition;
  readonly change: MetadataChange;
  readonly events: readonly MetadataEvent[];
}

/**
 * Takes a partition to its next state: partition epoch + 1, leader epoch + 1 with an election, ELR by R13. The ISR is
 * kept in the order of the replicas.
 */
export function changePartition(
  topic: Topic,
  before: Partition,
  wanted: WantedState,
  epoch: ControllerEpoch,
): PartitionStep {
  const isr = inReplicaOrder(before, wanted.isr);
  const minIsr = wanted.minIsr ?? before.minIsr;
  const { regressedFrom, ...rest } = before;
  const isDecided = wanted.election !== undefined && wanted.leader !== undefined;
  const partition: Partition = {
    ...rest,
    // Whoever elects somebody has decided whose records stay.
    ...(regressedFrom === undefined || isDecided ? {} : { regressedFrom }),
    isr,
    minIsr,
    elr: nextElr(before, { isr, minIsr, lost: wanted.lost ?? [] }),
    replicas: before.replicas.map((replica) => (isr.includes(replica.brokerId) ? healed(replica) : replica)),
    leader: wanted.leader,
    recovering: wanted.recovering ?? before.recovering,
    leaderEpoch: wanted.election === undefined ? before.leaderEpoch : nextLeaderEpoch(before, wanted.election),
    partitionEpoch: nextPartitionEpoch(before.partitionEpoch),
    controllerEpoch: epoch,
  };
  return {
    partition,
    change: putPartition(partition),
    events: eventsBetween(topic, before, partition, wanted.election),
  };
}

/**
 * The eligible leader replicas after a change (R13, KIP-966): while the ISR is smaller than the min ISR in force,
 * whoever was in ISR or ELR and is not in the ISR any more still holds everything below the high watermark, which cannot
 * move. Otherwise it may have moved without them, and the ELR is empty. Who lost data or is damaged holds nothing for
 * certain.
 */
export function nextElr(
  before: Partition,
  after: { readonly isr: readonly BrokerId[]; readonly minIsr: number; readonly lost: readonly BrokerId[] },
): readonly BrokerId[] {
  if (after.isr.length >= after.minIsr) return [];
  const held = [...before.isr, ...before.elr].filter((member) => !after.isr.includes(member));
  const damaged = before.replicas.filter((replica) => replica.damagedIn !== undefined);
  const without = [...after.lost, ...damaged.map((replica) => replica.brokerId)];
  return inReplicaOrder(
    before,
    held.filter((member) => !without.includes(member)),
  );
}

/** A replica that stands in the ISR has been copied again, and is served. */
function healed(replica: Replica): Replica {
  if (replica.damagedIn === undefined && replica.offlineIn === undefined) return replica;
  const { brokerId, directoryId } = replica;
  return { brokerId, directoryId };
}

/** What one step of a partition tells. */
function eventsBetween(
  topic: Topic,
  before: Partition,
  after: Partition,
  election: WantedState["election"],
): readonly MetadataEvent[] {
  const about = { topicId: topic.topicId, topic: topic.name, partition: after.partition };
  const events: MetadataEvent[] = [];
  if (election !== undefined) {
    events.push({
      kind: "elected",
      ...about,
      cause: election.cause,
      rule: election.rule,
      oldLeader: before.leader,
      newLeader: after.leader,
      leaderEpoch: after.leaderEpoch,
      isr: after.isr,
      elr: after.elr,
    });
  }
  if (!equalValues(before.isr, after.isr)) {
    const { elr, partitionEpoch } = after;
    events.push({ kind: "isrChanged", ...about, before: before.isr, after: after.isr, elr, partitionEpoch });
  }
  return events;
}

function inReplicaOrder(partition: Partition, members: readonly BrokerId[]): readonly BrokerId[] {
  return partition.replicas.map((replica) => replica.brokerId).filter((id) => members.includes(id));
}

function nextLeaderEpoch(before: Partition, { above }: NonNullable<WantedState["election"]>): LeaderEpoch {
  return leaderEpoch(Math.max(before.leaderEpoch, above ?? 0) + 1);
}

function nextPartitionEpoch(epoch: PartitionEpoch): PartitionEpoch {
  return partitionEpoch(epoch + 1);
}
