import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "./tidemark-error.ts";

/**
 * A message was not taken because of its size. `limitBytes`: what this process takes at most, by its setting
 * `rpc.receive.max.bytes`. `sizeBytes`: undefined where it was not read to its end.
 */
export function messageTooLarge(limitBytes: number, sizeBytes: number | undefined, outcome?: Outcome): TidemarkError {
  const what = sizeBytes === undefined ? "The message" : `The message has ${sizeBytes} bytes, which`;
  return new TidemarkError({
    reason: Reason.MESSAGE_TOO_LARGE,
    message:
      `${what} is above the ${limitBytes} that this process takes at once (rpc.receive.max.bytes). ` +
      "Send less at once, or raise the setting.",
    outcome: outcome ?? Outcome.NOT_APPLIED,
  });
}

/**
 * A message was not taken because of how much it is made of. `limit`: what this process takes at most, by its setting
 * `rpc.receive.max.elements`.
 */
export function tooManyElements(typeName: string, limit: number): TidemarkError {
  return new TidemarkError({
    reason: Reason.MESSAGE_TOO_LARGE,
    message:
      `The ${typeName} has more than ${limit} elements (entries of lists and maps, messages, fields that are not known), ` +
      "which is all that this process takes at once (rpc.receive.max.elements). Send less at once, or raise the setting.",
    outcome: Outcome.NOT_APPLIED,
  });
}

/** Sizes as grpc-js tells them of a message over a limit, which is the whole of what it says. */
const toldSize = /message larger than max \((\d+) vs/;

/** The error for grpc-js's own text about a message that was received. */
export function receivedTooLarge(text: string, limitBytes: number, outcome: Outcome): TidemarkError {
  const size = toldSize.exec(text)?.[1];
  return messageTooLarge(limitBytes, size === undefined ? undefined : Number(size), outcome);
}

/** What is being worked on is more than a budget has room for. */
export function requestsExceeded({ name, limit }: { readonly name: string; readonly limit: number }): TidemarkError {
  return new TidemarkError({
    reason: Reason.RESOURCE_EXHAUSTED,
    message: `More than ${limit} bytes of this ${name} are being worked on. Send less at once, or wait for answers.`,
  });
}
