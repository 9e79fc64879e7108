import { Outcome, Reason, reasonName, TidemarkError } from "@tidemark/client";
import type { OutputFormat } from "./commands/command.ts";
import type { Io } from "./io.ts";

/** What a person may do about it, beyond what the message says; undefined where that says all. */
function wayOut(error: TidemarkError, server: string | undefined): string | undefined {
  switch (error.reason) {
    case Reason.UNAVAILABLE:
      return server === undefined || !isUnreachable(error)
        ? undefined
        : `Is a cluster running at ${server}? \`tidemark dev\` starts one here; --server or TIDEMARK_SERVER names another.`;
    case Reason.UNKNOWN_TOPIC:
      return "`tidemark topic list` shows the topics that there are.";
    case Reason.TOPIC_EXISTS:
      return "`tidemark topic describe` shows what it is.";
    case Reason.LEADER_NOT_AVAILABLE:
      return "`tidemark cluster health` shows what is down.";
    case Reason.OFFSET_OUT_OF_RANGE:
      return "--from earliest or --from latest begins at what there is.";
    default:
      return undefined;
  }
}

/** What is known of the effect, in words. */
export function outcomeName(outcome: Outcome): string {
  switch (outcome) {
    case Outcome.NOT_APPLIED:
      return "not applied";
    case Outcome.APPLIED:
      return "applied";
    default:
      return "unknown: it may have been applied";
  }
}

/** Nobody answered at all. Whoever answers says itself what is wrong. */
function isUnreachable({ message }: TidemarkError): boolean {
  return /\bE[A-Z]{4,}\b|No connection|Name resolution/.test(message);
}

/** The library says of a refused connection what its resolver did; people want to know who does not answer. */
function messageOf({ reason, message }: TidemarkError, server: string | undefined): string {
  const refusal = /\b(ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT)\b/.exec(message)?.[1];
  if (reason !== Reason.UNAVAILABLE || refusal === undefined || server === undefined) return message;
  return `Nobody answers at ${server} (${refusal})`;
}

/** Tells a failure on standard error: what, why, what is known of the effect, the way out. Never a stack trace. */
export function tellError(
  io: Io,
  error: unknown,
  context: { readonly output: OutputFormat; readonly server?: string },
): void {
  if (!(error instanceof TidemarkError)) {
    const message = error instanceof Error ? error.message : String(error);
    io.stderr.write(
      context.output === "json" ? `${JSON.stringify({ error: { message } })}\n` : `tidemark: ${message}\n`,
    );
    return;
  }
  const told = {
    message: messageOf(error, context.server),
    reason: reasonName(error.reason),
    outcome: outcomeName(error.outcome),
    wayOut: wayOut(error, context.server),
  };
  if (context.output === "json") {
    io.stderr.write(`${JSON.stringify({ error: told })}\n`);
    return;
  }
  const lines = [`tidemark: ${told.message}`, `  reason ${told.reason}, outcome ${told.outcome}`];
  if (told.wayOut !== undefined) lines.push(`  ${told.wayOut}`);
  io.stderr.write(`${lines.join("\n")}\n`);
}
