import type { Revision } from "@tidemark/ids";
import type { ElectionEvent, IsrEvent, MetadataEvent, ReceiptEvent } from "@tidemark/metadata";
import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import { createDeferred, type Deferred } from "@tidemark/runtime";

/** What became of a broker's session. */
export type SessionEvent = Extract<MetadataEvent, { kind: "brokerRegistered" | "shutdownBegun" | "sessionEnded" }>;

/** An event as it was committed. */
export interface LoggedEvent<Event = ElectionEvent | IsrEvent | ReceiptEvent | SessionEvent> {
  readonly event: Event;
  readonly revision: Revision;
  /** Milliseconds since 1970 by this controller's wall clock. */
  readonly wallMs: number;
}

/**
 * What this controller decided about leaders, ISRs, receipts and sessions: each event for whoever watches, and the last
 * elections for whoever asks. Kept in memory; a controller knows what it decided itself.
 */
export interface EventLog {
  add(revision: Revision, wallMs: number, events: readonly MetadataEvent[]): void;
  /** The newest first. */
  elections(filter: (event: ElectionEvent) => boolean, limit: number): readonly LoggedEvent<ElectionEvent>[];
  /**
   * Every event from now on. A reader that is too slow is told so by RESOURCE_EXHAUSTED: an event is never left out in
   * silence. Ends when the signal is aborted.
   */
  watch(signal: AbortSignal): AsyncIterable<LoggedEvent>;
}

export function createEventLog(limits: { readonly electionsMax: number; readonly queuedMax: number }): EventLog {
  const elections: LoggedEvent<ElectionEvent>[] = [];
  const watchers = new Set<Watcher>();

  return {
    add(revision, wallMs, events) {
      for (const event of events) {
        if (!isWatched(event)) continue;
        if (event.kind === "elected") elections.push({ event, revision, wallMs });
        for (const watcher of watchers) watcher.push({ event, revision, wallMs });
      }
      if (elections.length > limits.electionsMax) elections.splice(0, elections.length - limits.electionsMax);
    },
    elections: (filter, limit) =>
      elections
        .filter(({ event }) => filter(event))
        .slice(-limit)
        .reverse(),
    async *watch(signal) {
      const watcher = createWatcher(limits.queuedMax);
      watchers.add(watcher);
      signal.addEventListener("abort", watcher.wake, { once: true });
      try {
        while (!signal.aborted) {
          yield* watcher.take();
          await watcher.more();
        }
      } finally {
        signal.removeEventListener("abort", watcher.wake);
        watchers.delete(watcher);
      }
    },
  };
}

function isWatched(event: MetadataEvent): event is LoggedEvent["event"] {
  switch (event.kind) {
    case "elected":
    case "isrChanged":
    case "receipt":
    case "brokerRegistered":
    case "shutdownBegun":
    case "sessionEnded":
      return true;
    default:
      return false;
  }
}

interface Watcher {
  push(event: LoggedEvent): void;
  /** What is queued. Throws once more than the limit was. */
  take(): readonly LoggedEvent[];
  /** Resolves when something is queued, or after `wake`. */
  more(): Promise<void>;
  readonly wake: () => void;
}

function createWatcher(queuedMax: number): Watcher {
  let queued: LoggedEvent[] = [];
  let hasOverflown = false;
  let isAwake = false;
  let waiting: Deferred<void> | undefined;
  const wake = () => {
    isAwake = true;
    waiting?.resolve();
  };
  return {
    wake,
    push(event) {
      if (queued.length < queuedMax) queued.push(event);
      else hasOverflown = true;
      wake();
    },
    take() {
      isAwake = false;
      const taken = queued;
      queued = [];
      if (taken.length === 0 && hasOverflown) {
        const message = `More than ${queuedMax} events came before they were read. Watch again`;
        throw new TidemarkError({ reason: Reason.RESOURCE_EXHAUSTED, message });
      }
      return taken;
    },
    async more() {
      if (isAwake || hasOverflown) return;
      waiting = createDeferred();
      await waiting.promise;
    },
  };
}
