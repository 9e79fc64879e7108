import type { BrokerId, LeaderEpoch, Offset, PartitionEpoch } from "@tidemark/ids";
import type { RefusalReason } from "./outputs.ts";
import type { FlushGeneration } from "./replica-log.ts";
import type { ReplicaRefusal } from "./replica-messages.ts";

/** What happened in a partition, for spans, event streams and scripts. Telling it changes nothing. */
export type TraceEvent =
  | {
      readonly kind: "becameLeader";
      readonly leaderEpoch: LeaderEpoch;
      readonly epochStart: Offset;
      readonly highWatermark: Offset;
    }
  | {
      readonly kind: "becameFollower";
      readonly leader: BrokerId;
      readonly leaderEpoch: LeaderEpoch;
      readonly logEnd: Offset;
    }
  | { readonly kind: "leaderless"; readonly leaderEpoch: LeaderEpoch }
  | { readonly kind: "resigned"; readonly reason: string }
  | { readonly kind: "offline"; readonly reason: string }
  /** The metadata are older than what replicas hold: nobody leads until a newer leader epoch says who does. */
  | { readonly kind: "metadataRegressed"; readonly reason: string }
  | { readonly kind: "staleMetadata"; readonly leaderEpoch: LeaderEpoch; readonly partitionEpoch: PartitionEpoch }
  | { readonly kind: "appended"; readonly baseOffset: Offset; readonly endOffset: Offset }
  /** The disk was full: the log ends at `from` again. */
  | { readonly kind: "appendRefused"; readonly from: Offset }
  | { readonly kind: "fetched"; readonly baseOffset: Offset; readonly endOffset: Offset }
  | { readonly kind: "flushed"; readonly offset: Offset }
  | { readonly kind: "flushIgnored"; readonly offset: Offset; readonly generation: FlushGeneration }
  /** The leader found that a follower's log parts from its own. */
  | {
      readonly kind: "diverging";
      readonly replica: BrokerId;
      readonly offset: Offset;
      readonly lastEpoch: LeaderEpoch;
      readonly leaderEpoch: LeaderEpoch;
      readonly endOffset: Offset;
    }
  /** `belowHighWatermark`: committed records went, which only an unclean election explains (P5, D3). */
  | { readonly kind: "truncated"; readonly from: Offset; readonly to: Offset; readonly belowHighWatermark: boolean }
  | { readonly kind: "restarted"; readonly from: Offset; readonly at: Offset }
  | { readonly kind: "responseDropped"; readonly from: BrokerId; readonly why: string }
  | { readonly kind: "fetchRefused"; readonly replica: BrokerId; readonly reason: ReplicaRefusal }
  /** `last`: the counted member whose report came last. */
  | { readonly kind: "highWatermark"; readonly from: Offset; readonly to: Offset; readonly last: BrokerId }
  | { readonly kind: "settled"; readonly highWatermark: Offset }
  | {
      readonly kind: "positionLost";
      readonly replica: BrokerId;
      readonly counted: Offset;
      readonly reported: Offset;
    }
  | {
      readonly kind: "isrProposed";
      readonly from: readonly BrokerId[];
      readonly to: readonly BrokerId[];
      readonly reason: string;
      readonly partitionEpoch: PartitionEpoch;
      readonly again: boolean;
    }
  | { readonly kind: "proposalSettled"; readonly reason: string }
  | { readonly kind: "proposalUnsettled"; readonly reason: string }
  | {
      readonly kind: "isrCommitted";
      readonly isr: readonly BrokerId[];
      readonly elr: readonly BrokerId[];
      readonly minIsr: number;
      readonly partitionEpoch: PartitionEpoch;
    }
  /** A producer sent again what the log holds. */
  | { readonly kind: "repeated"; readonly baseOffset: Offset; readonly endOffset: Offset }
  | { readonly kind: "acked"; readonly baseOffset: Offset; readonly endOffset: Offset }
  | { readonly kind: "produceRefused"; readonly reason: RefusalReason }
  | {
      readonly kind: "produceUnknown";
      readonly baseOffset: Offset;
      readonly endOffset: Offset;
      readonly reason: RefusalReason;
    }
  | { readonly kind: "fencedItself"; readonly silentMs: number }
  | { readonly kind: "servesAgain" };
