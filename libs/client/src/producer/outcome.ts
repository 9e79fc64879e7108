import type { TidemarkError } from "@tidemark/rpc";

/**
 * What became of a record (P12).
 *
 * | kind         | meaning                                                                                           |
 * |--------------|---------------------------------------------------------------------------------------------------|
 * | acknowledged | stored as the acks that were asked for promise; `offset` is absent with acks none, and where it was stored long ago |
 * | notApplied   | certainly not stored, and never will be                                                           |
 * | unknown      | may be stored: an attempt's answer was lost, and no later attempt was acknowledged                |
 *
 * Without idempotence a record that was sent more than once may stand more than once.
 */
export type RecordOutcome =
  | { readonly kind: "acknowledged"; readonly partition: number; readonly offset: bigint | undefined }
  | { readonly kind: "notApplied"; readonly error: TidemarkError }
  | { readonly kind: "unknown"; readonly error: TidemarkError };

/** Told once of each record. Must not throw. */
export type Settle = (outcome: RecordOutcome) => void;
