import { type Client, Reason, TidemarkError } from "@tidemark/client";

/** How long the controller may take to say whether a topic is there, in milliseconds. */
const askTimeoutMs = 3000;

/** A signal for reading a topic, and what ended it. */
export interface TopicWatch {
  /** Aborted where there is no such topic, and when the command is interrupted. */
  readonly signal: AbortSignal;
  /** Throws REASON_UNKNOWN_TOPIC where that ended the reading. */
  throwIfMissing(): void;
}

/**
 * Asks the controller beside the reading whether there is such a topic. A consumer waits for seconds for one that may
 * just have been made and is not known everywhere; the controller knows every topic, and whoever misspelt one is told at
 * once. Where no controller answers the reading goes on by itself.
 */
export function watchTopic(client: Pick<Client, "admin">, topic: string, interrupted: AbortSignal): TopicWatch {
  const missing = new AbortController();
  const signal = AbortSignal.any([interrupted, missing.signal]);
  client.admin
    .describeTopics({ topics: [topic] }, { signal: interrupted, timeoutMs: askTimeoutMs })
    .catch((error: unknown) => {
      if (error instanceof TidemarkError && error.reason === Reason.UNKNOWN_TOPIC) missing.abort(error);
    });
  return { signal, throwIfMissing: () => missing.signal.throwIfAborted() };
}
