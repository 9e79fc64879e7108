/**
 * One candidate's copy of the tree, and its watches. Shared by the backends: each feeds it the committed batches in
 * order, or a snapshot where it cannot.
 *
 * 1. Every watch gets a snapshot first, then each later batch, whole and once (C2).
 * 2. A watch whose reader fell behind by more than the bounds goes on with a snapshot of what is there when it reads
 *    again (C11).
 * 3. `reached` resolves after every watch was given the revision (C4, C9).
 */
import type { Revision } from "@tidemark/ids";
import { bytesOfBatch } from "./batch.ts";
import type { Change, ConsensusError, WatchEvent } from "./consensus.ts";
import type { EventSink } from "./events.ts";
import { createSignal } from "./signal.ts";
import { createWatcher, type WatchBounds, type Watcher, watchBounds } from "./watcher.ts";

export interface WatchHub {
  /** Undefined before the first snapshot. */
  revision(): Revision | undefined;
  get(key: string): Uint8Array | undefined;
  /** Takes the place of all that is there. */
  reset(revision: Revision, entries: ReadonlyMap<string, Uint8Array>): void;
  /** Revisions have to rise. */
  apply(revision: Revision, changes: readonly Change[]): void;
  watch(signal: AbortSignal): AsyncIterable<WatchEvent>;
  /** Resolves at a revision at or above `revision`. Rejects with the signal's reason, or the error of `end`. */
  reached(revision: Revision, signal: AbortSignal): Promise<void>;
  /** Ends the watches, with an error where there is one. A second call does nothing. */
  end(reason: ConsensusError, watches: "end" | "throw"): void;
}

export function createWatchHub(onEvent: EventSink, bounds: WatchBounds = watchBounds): WatchHub {
  let revision: Revision | undefined;
  let entries = new Map<string, Uint8Array>();
  let ended: { readonly reason: ConsensusError; readonly watches: "end" | "throw" } | undefined;
  const watchers = new Set<Watcher>();
  const changed = createSignal();

  const snapshot = () =>
    revision === undefined ? undefined : ({ kind: "snapshot", revision, entries: new Map(entries) } as const);

  async function* read(signal: AbortSignal): AsyncGenerator<WatchEvent, void, undefined> {
    const watcher = createWatcher(bounds, onEvent);
    watchers.add(watcher);
    try {
      while (!signal.aborted) {
        if (ended?.watches === "throw") throw ended.reason;
        if (ended !== undefined) return;
        const event = watcher.take(snapshot);
        if (event !== undefined) yield event;
        else await changed.next(signal);
      }
    } finally {
      watchers.delete(watcher);
    }
  }

  return {
    revision: () => revision,
    get: (key) => entries.get(key),
    reset(next, all) {
      revision = next;
      entries = new Map(all);
      for (const watcher of watchers) watcher.startOver();
      changed.notify();
    },
    apply(next, changes) {
      if (revision === undefined || next <= revision) {
        throw new Error(`Broken invariant: revision ${next} behind ${revision ?? "no snapshot"} of a watch`);
      }
      revision = next;
      for (const change of changes) {
        if (change.kind === "put") entries.set(change.key, change.value);
        else entries.delete(change.key);
      }
      const bytes = bytesOfBatch(changes);
      for (const watcher of watchers) watcher.offer({ kind: "batch", revision, changes }, bytes);
      changed.notify();
    },
    watch: (signal) => ({ [Symbol.asyncIterator]: () => read(signal) }),
    async reached(target, signal) {
      while (revision === undefined || revision < target) {
        signal.throwIfAborted();
        if (ended !== undefined) throw ended.reason;
        await changed.next(signal);
      }
    },
    end(reason, watches) {
      if (ended !== undefined) return;
      ended = { reason, watches };
      changed.notify();
    },
  };
}
