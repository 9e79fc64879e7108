import type { BrokerEpoch, DirectoryId, LeaderEpoch } from "@tidemark/ids";
import type { Damage, Log, LogDirectory, ReplicaId } from "@tidemark/log";
import type { ProducerTable } from "@tidemark/replication";
import type { ReplicatedPartition } from "../partition/replicated-partition.ts";

/**
 * What there is of one replica on this broker.
 *
 * | state     | means                                                               | left when                                     |
 * |-----------|---------------------------------------------------------------------|-----------------------------------------------|
 * | opening   | its log is being opened, or made                                    | that has ended                                |
 * | ready     | its log is open, and the broker is not registered                   | it is registered, and the metadata name it    |
 * | open      | its machine runs                                                    | the metadata name it no longer; damage        |
 * | damaged   | damage was found: it neither leads nor fetches (L10)                | it is copied anew                             |
 * | misplaced | the metadata record it in a directory that this broker has not      | they record one that it has                   |
 * | failed    | it cannot be opened, or broke an invariant                          | it is tried again, unless that is final       |
 */
export type HeldState =
  /** `isRetry`: it could not be opened before, and is not served for as long. */
  | { readonly kind: "opening"; readonly isRetry?: true }
  | {
      readonly kind: "ready";
      readonly log: Log;
      readonly home: LogDirectory;
      /** The idempotent producers of the log. */
      readonly producers: ProducerTable;
    }
  | {
      readonly kind: "open";
      readonly producers: ProducerTable;
      readonly log: Log;
      readonly partition: ReplicatedPartition;
    }
  | {
      readonly kind: "damaged";
      /** Offline: it says why, and does nothing else. */
      readonly log: Log;
      readonly damage: Damage;
      /**
       * Whether no start will forget it. Until then the replica is told to be offline: damage that was told and forgotten
       * would pass, in the next broker epoch, for a replica that was copied anew.
       */
      readonly isNoted: boolean;
      /**
       * The broker epoch in which the metadata showed it out of ISR and ELR, so that it may be given up in a newer one.
       * Undefined: they have not.
       */
      readonly givenUpIn: BrokerEpoch | undefined;
    }
  | {
      readonly kind: "misplaced";
      readonly directoryId: DirectoryId;
      /** The leader epoch of the metadata by which another directory was asked for. Undefined: none was. */
      readonly askedAt: LeaderEpoch | undefined;
    }
  | {
      readonly kind: "failed";
      readonly message: string;
      /** When it is opened again, on the monotonic clock. Infinity: its machine broke an invariant, so never. */
      readonly againAtMs: number;
    };

export interface HeldReplica {
  readonly id: ReplicaId;
  /** As of the newest metadata that named it; its topic id where none did. */
  topic: string;
  /** The directory that holds it. Undefined: none does. */
  home: LogDirectory | undefined;
  state: HeldState;
  /** What is done with its log, one thing after the other. Never rejects. */
  work: Promise<void>;
}
