import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "../errors/tidemark-error.ts";
import type { ConnectionLimits } from "../wire/budgets.ts";
import type { ConnectionRefusal } from "./connection-gate.ts";

/** What a caller is told whose connection is over a limit: which setting, and the way out. Nothing was asked yet. */
export function overLimit(
  refusal: Exclude<ConnectionRefusal, "handshakeTimeout">,
  limits: ConnectionLimits,
): TidemarkError {
  return new TidemarkError({
    reason: Reason.RESOURCE_EXHAUSTED,
    message: `${limitText(refusal, limits)} One connection carries many calls at once.`,
    outcome: Outcome.NOT_APPLIED,
    retryAfterMs: 1000,
  });
}

function limitText(refusal: Exclude<ConnectionRefusal, "handshakeTimeout">, limits: ConnectionLimits): string {
  switch (refusal) {
    case "total":
      return `The process holds its ${limits.total} connections (max.connections).`;
    case "perAddress":
      return `This address holds its ${limits.perAddress} connections (max.connections.per.ip).`;
    case "newPerAddressPerSecond":
      return (
        `This address opened its ${limits.newPerAddressPerSecond} connections of a second ` +
        "(max.connection.creation.rate.per.ip)."
      );
  }
}

/** What a caller is told that speaks cleartext where TLS is spoken. */
export function speaksTls(listener: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.UNAVAILABLE,
    message:
      `The listener "${listener}" speaks TLS, and this connection does not. ` +
      "Connect with TLS: by server.tls.ca at the command line, by https in a URL.",
    outcome: Outcome.NOT_APPLIED,
  });
}
