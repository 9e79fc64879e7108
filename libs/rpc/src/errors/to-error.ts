import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "./tidemark-error.ts";

/**
 * Told of what was thrown and is not an error of the closed set: a defect. Goes to the log; the caller never sees it.
 * `traceparent`: that of the call. Undefined where it brought none, and where what was thrown belongs to no call.
 */
export type DefectHook = (thrown: unknown, method: string, traceparent?: string | undefined) => void;

/** What the caller sees of a defect. */
export const INTERNAL_TEXT = "The process hit a defect. Its log says more.";

/** The error to answer with for whatever a handler threw. A defect is reported and answered with a general text. */
export function toTidemarkError(thrown: unknown, method: string, onDefect: DefectHook): TidemarkError {
  if (thrown instanceof TidemarkError) return thrown;
  onDefect(thrown, method);
  return new TidemarkError({ reason: Reason.INTERNAL, message: INTERNAL_TEXT, cause: thrown });
}
