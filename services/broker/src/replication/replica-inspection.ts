import type { BrokerEpoch, LeaderEpoch, Offset } from "@tidemark/ids";
import type { Log, ReplicaId } from "@tidemark/log";

/** The replicas of this broker, for those who ask how they stand. */
export interface ReplicaInspection {
  /** Undefined before the first registration. */
  brokerEpoch(): BrokerEpoch | undefined;
  /** All that the broker holds. */
  replicas(): readonly ReplicaId[];
  /** Undefined: the broker holds no such replica, or has not opened it. */
  log(replica: ReplicaId): Log | undefined;
  /** Why a replica that the broker holds is not served though it has no log to say so. Undefined: it is, or is damaged. */
  trouble(replica: ReplicaId): string | undefined;
  /** The newest leader epoch that the replica has seen, where the newest metadata are older; undefined: they are not. */
  regressedFrom(replica: ReplicaId): LeaderEpoch | undefined;
  /** Whether the metadata have no topic of this id. */
  isForeign(replica: ReplicaId): boolean;
  /** The leader epoch in which this broker leads the partition; undefined: it does not. */
  ledIn(replica: ReplicaId): LeaderEpoch | undefined;
}

/** How a replica stands. */
export type ReplicaStanding =
  | {
      readonly kind: "online";
      /** Undefined: the log knows none. */
      readonly lastLeaderEpoch: LeaderEpoch | undefined;
      readonly logStart: Offset;
      readonly storedLogStart: Offset;
      readonly logEnd: Offset;
      readonly flushed: Offset;
      readonly highWatermark: Offset;
      /** As in `ReplicaInspection`. */
      readonly regressedFrom: LeaderEpoch | undefined;
    }
  /** `damage`: what is wrong, in words. */
  | { readonly kind: "offline"; readonly damage: string }
  | { readonly kind: "absent" };

export function standingOf(inspection: ReplicaInspection, replica: ReplicaId): ReplicaStanding {
  const trouble = inspection.trouble(replica);
  if (trouble !== undefined) return { kind: "offline", damage: trouble };
  const log = inspection.log(replica);
  if (log === undefined) return { kind: "absent" };
  switch (log.status.kind) {
    case "online":
      return {
        kind: "online",
        lastLeaderEpoch: log.latestLeaderEpoch,
        logStart: log.logStartOffset,
        storedLogStart: log.storedLogStart,
        logEnd: log.logEndOffset,
        flushed: log.flushedOffset,
        highWatermark: log.highWatermark,
        regressedFrom: inspection.regressedFrom(replica),
      };
    case "offline":
      return { kind: "offline", damage: log.status.damage.detail };
    case "closed":
      return { kind: "offline", damage: "its log is closed" };
  }
}
