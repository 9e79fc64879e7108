import { type AppendFailure, ConsensusError, type RefusalReason } from "@tidemark/consensus";
import type { Refusal } from "@tidemark/metadata";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { type DefectHook, TidemarkError, toTidemarkError } from "@tidemark/rpc";

/** The active controller as this one knows it. */
export interface KnownController {
  readonly id: number;
  /** host:port. */
  readonly endpoint: string;
  readonly controllerEpoch: number;
}

export function notController(active: KnownController | undefined): TidemarkError {
  const message =
    active === undefined
      ? "This controller is not the active one, and it knows none"
      : `This controller is not the active one; that is controller ${active.id} at ${active.endpoint}`;
  return new TidemarkError({
    reason: Reason.NOT_CONTROLLER,
    message,
    ...(active === undefined ? {} : { controller: active }),
  });
}

/** What a running controller says of metadata that were moved away from under it, with both ways out. */
export const sealedText =
  "The metadata were sealed by an export that moves them, and nothing is decided here any more: run the controllers on the backend that they were imported into, or take the seal off with `tidemark metadata unseal` if no import was begun";

export function metadataSealed(): TidemarkError {
  return new TidemarkError({ reason: Reason.METADATA_SEALED, message: sealedText });
}

export function refusalError({ reason, message, topic, partition }: Refusal): TidemarkError {
  return new TidemarkError({
    reason,
    message,
    ...(topic === undefined ? {} : { topic }),
    ...(partition === undefined ? {} : { partition }),
  });
}

export function invalidArgument(message: string): TidemarkError {
  return new TidemarkError({ reason: Reason.INVALID_ARGUMENT, message });
}

/**
 * The error of an append that is not committed. `isPartial`: earlier batches of the same command are, so that the
 * command as a whole is neither applied nor not.
 */
export function appendError(
  outcome: AppendFailure,
  { isPartial, active }: { readonly isPartial: boolean; readonly active: KnownController | undefined },
): TidemarkError {
  if (outcome.kind === "unknown") {
    const message = `It is not known whether the change was committed (${outcome.message}). Read back before a retry`;
    return new TidemarkError({ reason: Reason.METADATA_OUTCOME_UNKNOWN, message });
  }
  const reason = reasonOfRefusal(outcome.reason);
  if (reason === Reason.METADATA_SEALED && !isPartial) return metadataSealed();
  if (reason === Reason.NOT_CONTROLLER && !isPartial) return notController(active);
  return new TidemarkError({
    reason,
    message: isPartial ? `A part of the change was committed, then: ${outcome.message}` : outcome.message,
    outcome: isPartial ? Outcome.UNKNOWN : Outcome.NOT_APPLIED,
  });
}

function reasonOfRefusal(reason: RefusalReason): Reason {
  switch (reason) {
    case "FENCED":
    case "CLOSED":
    case "FAILED":
      return Reason.NOT_CONTROLLER;
    case "RESOURCE_EXHAUSTED":
      return Reason.RESOURCE_EXHAUSTED;
    case "NO_SPACE":
      return Reason.METADATA_NO_SPACE;
    case "STORE_REFUSED":
      return Reason.UNAVAILABLE;
    case "SEALED":
      return Reason.METADATA_SEALED;
    case "INVALID_BATCH":
      return Reason.INVALID_ARGUMENT;
  }
}

/** The error of the closed set for whatever was thrown inside. */
export type ErrorReader = (thrown: unknown) => TidemarkError;

/** `onDefect` is told of what should never be thrown. A store that closed or failed leads nothing any more. */
export function createErrorReader(onDefect: DefectHook, active: () => KnownController | undefined): ErrorReader {
  return (thrown) =>
    thrown instanceof ConsensusError ? notController(active()) : toTidemarkError(thrown, "controller", onDefect);
}

/** What waits for the image when the controller stops. */
export function stopping(): TidemarkError {
  const message = "This controller is stopping";
  return new TidemarkError({ reason: Reason.SHUTTING_DOWN, message, outcome: Outcome.UNKNOWN });
}
