import type { Revision } from "@tidemark/ids";
import { abortWith, createDeferred, type Deferred } from "@tidemark/runtime";
import { ConsensusError } from "../consensus.ts";
import { createSignal } from "../signal.ts";
import type { StoreFeed, StoreLink, StoreSession } from "../store/store-link.ts";

/** A candidate's sessions, one behind the other: when one is lost, the next is begun. */
export interface Connection {
  /** Undefined while the store cannot be reached. */
  current(): StoreSession | undefined;
  /** The session, as soon as there is one. Rejects with the signal's reason, or CLOSED. */
  connected(signal: AbortSignal): Promise<StoreSession>;
  /** Resolves when the session is not the current one any more, or when the signal is aborted. */
  gone(session: StoreSession, signal?: AbortSignal): Promise<void>;
  /** Ends the session and begins no other. */
  close(): Promise<void>;
}

export interface ConnectionHandlers {
  /** Where a new session continues. Undefined before the first snapshot. */
  readonly resumeFrom: () => Revision | undefined;
  readonly onFeed: (feed: StoreFeed) => void;
  readonly onConnected: (session: StoreSession) => void;
  /** At once, before anyone else can know. */
  readonly onLost: (cause: string) => void;
  readonly onFailed: (message: string) => void;
}

export function createConnection(link: StoreLink, handlers: ConnectionHandlers): Connection {
  const closing = new AbortController();
  const changed = createSignal();
  let current: StoreSession | undefined;
  let lost = createDeferred();

  const openSession = async (ended: Deferred<void>): Promise<void> => {
    const fate = { lost: false };
    const session = await link.connect(
      handlers.resumeFrom(),
      {
        onFeed: handlers.onFeed,
        onFailed: handlers.onFailed,
        onLost: (cause) => {
          fate.lost = true;
          current = undefined;
          handlers.onLost(cause);
          ended.resolve();
          changed.notify();
        },
      },
      closing.signal,
    );
    if (fate.lost) return;
    current = session;
    if (closing.signal.aborted) return;
    handlers.onConnected(session);
    changed.notify();
  };

  const run = async () => {
    // Whoever asked for the connection has it in hand before a handler is called.
    await Promise.resolve();
    while (!closing.signal.aborted) {
      lost = createDeferred();
      await openSession(lost);
      await lost.promise;
    }
  };

  // The loop ends by the signal alone, of which `connect` makes a rejection.
  const running = run().catch((error: unknown) => {
    if (!closing.signal.aborted) throw error;
  });

  return {
    current: () => current,
    async connected(signal) {
      while (current === undefined || closing.signal.aborted) {
        signal.throwIfAborted();
        if (closing.signal.aborted) throw new ConsensusError("CLOSED", "the candidate was closed");
        await changed.next(signal);
      }
      return current;
    },
    async gone(session, signal = closing.signal) {
      const ended = new AbortController();
      const unbind = abortWith(ended, signal, closing.signal);
      try {
        while (current === session && !ended.signal.aborted) await changed.next(ended.signal);
      } finally {
        unbind();
      }
    },
    async close() {
      closing.abort();
      lost.resolve();
      changed.notify();
      await running;
      const session = current;
      current = undefined;
      await session?.close();
    },
  };
}
