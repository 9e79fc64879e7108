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

export interface WatchBounds {
  readonly batchesMax: number;
  readonly bytesMax: number;
}

/** What one watch may hold for its reader. */
export const watchBounds: WatchBounds = { batchesMax: 4_096, bytesMax: 8 * 1024 * 1024 };

export interface WatchHub {
  /** Undefined before the first snapshot. */
  revision(): Revision | undefined;
  get(key: string): Uint8Array | undefined;
  entries(): ReadonlyMap<string, Uint8Array>;
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

interface Watcher {
  queue: WatchEvent[];
  bytes: number;
  needsSnapshot: boolean;
}

export function createWatchHub(onEvent: EventSink, bounds: WatchBounds = watchBounds): WatchHub {
  let revision: Revision | undefined;
  let entries = new Map<string, Uint8Array>();
  let ended: { readonly reason: ConsensusError; readonly watches: "end" | "throw" } | undefined;
  const watchers = new Set<Watcher>();
  const changed = createSignal();

  const take = (watcher: Watcher): WatchEvent | undefined => {
    if (watcher.needsSnapshot && revision !== undefined) {
      watcher.needsSnapshot = false;
      return { kind: "snapshot", revision, entries: new Map(entries) };
    }
    const event = watcher.queue.shift();
    if (event?.kind === "batch") watcher.bytes -= bytesOfBatch(event.changes);
    return event;
  };

  const startOver = (watcher: Watcher) => {
    watcher.queue = [];
    watcher.bytes = 0;
    watcher.needsSnapshot = true;
  };

  const offer = (watcher: Watcher, event: WatchEvent, bytes: number) => {
    if (watcher.needsSnapshot) return;
    watcher.queue.push(event);
    watcher.bytes += bytes;
    if (watcher.queue.length <= bounds.batchesMax && watcher.bytes <= bounds.bytesMax) return;
    onEvent({ kind: "watcherBehind", batchesDropped: watcher.queue.length });
    startOver(watcher);
  };

  async function* read(signal: AbortSignal): AsyncGenerator<WatchEvent, void, undefined> {
    const watcher: Watcher = { queue: [], bytes: 0, needsSnapshot: true };
    watchers.add(watcher);
    try {
      while (!signal.aborted) {
        if (ended?.watches === "throw") throw ended.reason;
        if (ended !== undefined) return;
        const event = take(watcher);
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
    entries: () => entries,
    reset(next, snapshot) {
      revision = next;
      entries = new Map(snapshot);
      for (const watcher of watchers) startOver(watcher);
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
      const event: WatchEvent = { kind: "batch", revision, changes };
      const bytes = bytesOfBatch(changes);
      for (const watcher of watchers) offer(watcher, event, bytes);
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
