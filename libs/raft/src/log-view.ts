/**
 * The log of one node as the protocol sees it: a snapshot, the entries behind it, and how far they are written, flushed,
 * committed and handed out.
 *
 *     base <= applied <= committed <= last        base <= snapshot, flushed <= last
 *
 * 1. The entries follow each other (`entry-store.ts`).
 * 2. Nothing at or below the commit index is ever cut (State Machine Safety rests on it).
 * 3. The commit index never goes back.
 * 4. What is handed out to be applied is committed, and flushed here: a node's state never runs ahead of its disk.
 * 5. The snapshot reaches at least to the base: nothing is dropped that no snapshot holds.
 */
import { assert } from "./assert.ts";
import type { Entry } from "./entry.ts";
import { createEntryStore, type EntryReader } from "./entry-store.ts";
import { createFlushTracker } from "./flush-tracker.ts";
import { indexAfter, type LogIndex } from "./ids.ts";
import type { SnapshotMeta, StartState } from "./start-state.ts";

export interface LogView extends EntryReader {
  /** The newest snapshot that is known here. */
  snapshot(): SnapshotMeta;
  committed(): LogIndex;
  applied(): LogIndex;
  flushed(): LogIndex;
  /** Whether this is an empty disk's log. */
  isBlank(): boolean;
  /** Adds behind the end. */
  append(entries: readonly Entry[]): void;
  /** Forgets `from` and everything behind it. `guarded` false leaves out the check of rule 2. */
  cutFrom(from: LogIndex, guarded: boolean): void;
  /** Moves the commit index. A lower one, or one beyond the end, is taken as far as it goes. True when it moved. */
  commitTo(index: LogIndex): boolean;
  /** Replaces everything by a snapshot that came from the leader. */
  install(snapshot: SnapshotMeta): void;
  /** A snapshot of what was applied is on stable storage; entries up to `through` are dropped. */
  compact(snapshot: SnapshotMeta, through: LogIndex): void;
  /** What was not handed out for writing yet. It now belongs to the write `sequence`. */
  takeUnwritten(sequence: number): readonly Entry[];
  hasUnwritten(): boolean;
  /** The write `sequence` and all before it are flushed. */
  acknowledgeFlush(sequence: number): void;
  /** The snapshot to load before any entry is applied, once. Undefined when there is none. */
  takeRestore(): SnapshotMeta | undefined;
  /** Committed entries that may be applied now, in order, each once. */
  takeCommitted(bytesMax: number): readonly Entry[];
}

export function createLogView(start: StartState): LogView {
  const store = createEntryStore(start.snapshot, start.entries);
  const flush = createFlushTracker(store.last().index);
  let { snapshot } = start;
  let committed = snapshot.index;
  let applied = snapshot.index;
  let restore = snapshot.index > 0 ? snapshot : undefined;
  let installing = false;
  let unwrittenFrom = indexAfter(store.last().index);
  return {
    ...store,
    snapshot: () => snapshot,
    committed: () => committed,
    applied: () => applied,
    flushed: () => flush.flushed(),
    isBlank: () => store.last().index === 0,
    cutFrom(from, guarded) {
      if (guarded) assert(from > committed, `the log is cut behind the commit index ${committed}, not at ${from}`);
      store.cutFrom(from);
      flush.cutFrom(from);
      if (from < unwrittenFrom) unwrittenFrom = from;
    },
    commitTo(index) {
      const reached = least(index, store.last().index);
      if (reached <= committed) return false;
      committed = reached;
      return true;
    },
    install(received) {
      assert(received.index > committed, "only a snapshot that is ahead of the state replaces it");
      snapshot = received;
      restore = received;
      committed = received.index;
      installing = true;
      unwrittenFrom = indexAfter(received.index);
      store.reset(received);
      flush.reset();
    },
    compact(taken, through) {
      assert(taken.index <= applied, `a snapshot is of what was applied, up to ${applied}, not of ${taken.index}`);
      if (taken.index > snapshot.index) snapshot = taken;
      store.dropThrough(least(through, snapshot.index));
    },
    takeUnwritten(sequence) {
      const { index } = store.last();
      const taken = store.read(unwrittenFrom, index, Number.POSITIVE_INFINITY);
      if (taken.length > 0 || installing) flush.written(sequence, index);
      installing = false;
      unwrittenFrom = indexAfter(index);
      return taken;
    },
    hasUnwritten: () => installing || unwrittenFrom <= store.last().index,
    acknowledgeFlush: (sequence) => flush.acknowledged(sequence),
    takeRestore() {
      if (restore === undefined || flush.flushed() < restore.index) return undefined;
      const taken = restore;
      restore = undefined;
      applied = taken.index;
      return taken;
    },
    takeCommitted(bytesMax) {
      const through = least(flush.flushed(), committed);
      if (restore !== undefined || through <= applied) return [];
      const taken = store.read(indexAfter(applied), through, bytesMax);
      applied = taken.at(-1)?.index ?? applied;
      return taken;
    },
  };
}

function least(left: LogIndex, right: LogIndex): LogIndex {
  return left < right ? left : right;
}
