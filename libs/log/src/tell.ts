import type { Offset } from "@tidemark/ids";
import { createDeferred, type Deferred } from "@tidemark/runtime";
import { LogError } from "./errors.ts";
import type { LogEvent } from "./events.ts";
import type { LogState } from "./log-state.ts";
import { writeDamage } from "./recovery/damage-file.ts";
import { untilThereIsRoom } from "./try-again.ts";

/** Waits for what lies below `upTo` to be flushed. */
export interface Waiter {
  readonly upTo: Offset;
  readonly deferred: Deferred<void>;
}

/** Resolves when everything below `offset` is flushed; rejects with the `LogError` that came in between. */
export function untilFlushed(log: LogState, offset: Offset): Promise<void> {
  const deferred = createDeferred();
  (log.waiters ??= []).push({ upTo: offset, deferred });
  return deferred.promise;
}

/** Tells whoever waits, and the one who drives the log. Damage is noted in the directory as well (L10). */
export function tell(log: LogState, event: LogEvent): void {
  settleWaiters(log, event);
  if (event.kind === "offline") {
    const { context, directory } = log;
    log.noting = untilThereIsRoom(log, () => writeDamage(context, directory, event.damage)).catch((error: unknown) => {
      // A stop without it is not clean.
      if (error instanceof LogError && error.code === "NO_SPACE") throw error;
      throw context.fail(error, `noting damage of ${directory}`);
    });
    // Whoever closes the log, or waits for the note, hears of it.
    log.noting.catch(() => undefined);
  }
  log.onEvent(event);
}

/** Settles those whom the event concerns. */
export function settleWaiters(log: LogState, event: LogEvent): void {
  if (log.waiters === undefined) return;
  const left = log.waiters.filter((waiter) => !settle(waiter, event));
  log.waiters = left.length === 0 ? undefined : left;
}

/** False when the event does not concern the waiter. */
function settle({ upTo, deferred }: Waiter, event: LogEvent): boolean {
  switch (event.kind) {
    case "flushed":
      if (upTo > event.upTo) return false;
      deferred.resolve();
      return true;
    case "refused":
      if (upTo <= event.from) return false;
      deferred.reject(event.error);
      return true;
    case "cut":
      if (upTo <= event.end) return false;
      deferred.reject(new LogError("CUTTING", `The log was cut at ${event.end}`));
      return true;
    case "offline":
      deferred.reject(new LogError("OFFLINE", event.damage.detail));
      return true;
    case "failed":
      deferred.reject(event.error);
      return true;
    case "written":
    case "logStart":
      return false;
  }
}
