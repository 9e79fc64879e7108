import type { Branded, BrokerId, ControllerEpoch } from "@tidemark/ids";
import type { IsrProposal, PartitionState } from "./partition-state.ts";

/** Names one sending of a proposal, so that each answer finds its attempt. Never used twice by one partition. */
export type ProposalAttempt = Branded<number, "ProposalAttempt">;

/** Names one question "do I still lead?", so that its answer serves the reads that came before it and no others. */
export type Confirmation = Branded<number, "Confirmation">;

/** AlterPartition, from the leader to the active controller. */
export interface AlterPartition {
  readonly attempt: ProposalAttempt;
  readonly proposal: IsrProposal;
}

/**
 * The controller's answer to an attempt.
 *
 * | answer                   | the attempt was           | settles (R6)                                             |
 * |--------------------------|---------------------------|----------------------------------------------------------|
 * | applied                  | committed                 | with the state it carries                                |
 * | INELIGIBLE_REPLICA       | refused                   | as not applied, if every attempt is answered and the epoch is the newest |
 * | NOT_ATTEMPTED            | dropped before any write  | the same                                                 |
 * | PARTITION_EPOCH_MISMATCH | refused, an earlier attempt may have been applied | nothing                          |
 * | LEADER_EPOCH_MISMATCH    | refused: a newer leader epoch exists              | nothing                          |
 * | NOT_CONTROLLER           | refused by a broker's idea of the controller      | nothing                          |
 * | UNKNOWN                  | perhaps applied, now or later                     | nothing; counts as unanswered    |
 */
export type AlterPartitionAnswer =
  | { readonly kind: "applied"; readonly controllerEpoch: ControllerEpoch; readonly state: PartitionState }
  | {
      readonly kind: "INELIGIBLE_REPLICA";
      readonly controllerEpoch: ControllerEpoch;
      readonly replicas: readonly BrokerId[];
    }
  | { readonly kind: "NOT_ATTEMPTED"; readonly controllerEpoch: ControllerEpoch }
  | { readonly kind: "PARTITION_EPOCH_MISMATCH"; readonly controllerEpoch: ControllerEpoch }
  | { readonly kind: "LEADER_EPOCH_MISMATCH"; readonly controllerEpoch: ControllerEpoch }
  | { readonly kind: "NOT_CONTROLLER" }
  | { readonly kind: "UNKNOWN" };
