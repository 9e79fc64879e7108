import type { DescMethod } from "@bufbuild/protobuf";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "../errors/tidemark-error.ts";

/** Errors that a client makes itself: each knows whether anything of the request can have left. */
export interface CallErrors {
  cancelled(cause: unknown): TidemarkError;
  deadlineExceeded(timeoutMs: number): TidemarkError;
  /** The listener threw: a defect of the caller. */
  listenerFailed(cause: unknown): TidemarkError;
  /** What the caller gave is no message of the method: a number outside its field's range, say. */
  requestInvalid(cause: unknown): TidemarkError;
  requestTooLarge(length: number, limit: number): TidemarkError;
  queueExceeded(budget: { readonly name: string; readonly limit: number }): TidemarkError;
}

export function createCallErrors(
  method: DescMethod,
  endpoint: string,
  wire: { readonly requestSent: boolean },
): CallErrors {
  const error = (reason: Reason, message: string, cause?: unknown) => {
    const outcome = wire.requestSent ? Outcome.UNKNOWN : Outcome.NOT_APPLIED;
    return new TidemarkError({ reason, message, outcome, cause });
  };
  const call = `${method.name} at ${endpoint}`;
  return {
    cancelled: (cause) => error(Reason.CANCELLED, `${call} was cancelled.`, cause),
    deadlineExceeded: (timeoutMs) => error(Reason.DEADLINE_EXCEEDED, `${call} did not end within ${timeoutMs} ms.`),
    listenerFailed: (cause) => error(Reason.INTERNAL, `The reader of ${call} failed.`, cause),
    requestInvalid: (cause) =>
      error(Reason.INVALID_ARGUMENT, `The request of ${call} cannot be encoded: ${messageOf(cause)}`, cause),
    requestTooLarge: (length, limit) =>
      error(
        Reason.MESSAGE_TOO_LARGE,
        `A message of ${call} has ${length} bytes, above the ${limit} that may be sent at once. Send less at once.`,
      ),
    queueExceeded: ({ name, limit }) =>
      error(
        Reason.RESOURCE_EXHAUSTED,
        `More than ${limit} bytes wait to be sent on this ${name} of ${call}. Wait for what was sent before.`,
      ),
  };
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The answer's bytes are not what the method answers with. */
export function invalidAnswer(method: DescMethod, cause: unknown): TidemarkError {
  const message = `The answer of ${method.name} is not a valid ${method.output.typeName}.`;
  return new TidemarkError({ reason: Reason.INTERNAL, message, cause });
}
