/**
 * The log of one node as the protocol sees it: a snapshot, the entries behind it, and how far they are written, flushed,
 * committed and handed out.
 *
 *     base <= applied <= committed <= last        base <= snapshot, flushed <= last
 *
 * 1. Indexes have no gaps, terms never fall.
 * 2. Nothing at or below the commit index is ever cut (State Machine Safety rests on it).
 * 3. The commit index never goes back.
 * 4. What is handed out to be applied is committed, and flushed here: a node's state never runs ahead of its disk.
 * 5. The snapshot reaches at least to the base: nothing is dropped that no snapshot holds.
 */
import { assert } from "./assert.ts";
import { type Entry, entryBytes } from "./entry.ts";
import { createFlushTracker } from "./flush-tracker.ts";
import { indexAfter, type LogIndex, type Position, type Term } from "./ids.ts";
import type { SnapshotMeta, StartState } from "./start-state.ts";

export interface LogView {
  /** The newest snapshot that is known here. */
  snapshot(): SnapshotMeta;
  /** The last position before the entries that are kept. */
  base(): Position;
  last(): Position;
  committed(): LogIndex;
  applied(): LogIndex;
  flushed(): LogIndex;
  /** Whether this is an empty disk's log. */
  isBlank(): boolean;
  /** Undefined beyond the end, and before the base, where it is forgotten. */
  termAt(index: LogIndex): Term | undefined;
  has(position: Position): boolean;
  /** The last index up to `from` whose term is not later than `term`. One before the base when that is forgotten. */
  lastNotAfter(from: LogIndex, term: Term): LogIndex;
  /** Entries from `from` on, within `bytesMax`, at least one where there is one. `from` is behind the base. */
  read(from: LogIndex, bytesMax: number): readonly Entry[];
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
  let snapshot = start.snapshot;
  let base: Position = snapshot;
  let entries: Entry[] = [...start.entries];
  let committed = snapshot.index;
  let applied = snapshot.index;
  let restore: SnapshotMeta | undefined = snapshot.index > 0 ? snapshot : undefined;
  let installing = false;
  let unwrittenFrom = indexAfter(base.index, entries.length + 1);
  const flush = createFlushTracker(indexAfter(base.index, entries.length));

  const last = (): Position => entries.at(-1) ?? base;
  const at = (index: LogIndex): Entry | undefined => entries[index - base.index - 1];
  const termAt = (index: LogIndex) => (index === base.index ? base.term : at(index)?.term);

  const read = (from: LogIndex, through: LogIndex, bytesMax: number): readonly Entry[] => {
    const begin = from - base.index - 1;
    assert(begin >= 0, `entries are read behind the base ${base.index}, not from ${from}`);
    const endMax = Math.min(entries.length, through - base.index);
    let end = begin;
    let bytes = 0;
    while (end < endMax) {
      const entry = entries[end];
      if (entry === undefined) break;
      bytes += entryBytes(entry);
      if (bytes > bytesMax && end > begin) break;
      end++;
    }
    return entries.slice(begin, end);
  };
  const applicable = (): LogIndex => (flush.flushed() < committed ? flush.flushed() : committed);

  return {
    snapshot: () => snapshot,
    base: () => base,
    last,
    committed: () => committed,
    applied: () => applied,
    flushed: () => flush.flushed(),
    isBlank: () => last().index === 0,
    termAt,
    has: (position) => termAt(position.index) === position.term,
    lastNotAfter(from, term) {
      let index = from < last().index ? from : last().index;
      for (let found = termAt(index); found !== undefined && found > term; found = termAt(index)) {
        index = indexAfter(index, -1);
      }
      return index;
    },
    read: (from, bytesMax) => read(from, last().index, bytesMax),
    append(added) {
      for (const entry of added) {
        const before = last();
        assert(entry.index === before.index + 1 && entry.term >= before.term, "entries follow each other");
        entries.push(entry);
      }
    },
    cutFrom(from, guarded) {
      if (guarded) assert(from > committed, `the log is cut behind the commit index ${committed}, not at ${from}`);
      entries.length = Math.max(0, from - base.index - 1);
      flush.cutFrom(from);
      if (from < unwrittenFrom) unwrittenFrom = from;
    },
    commitTo(index) {
      const end = last().index;
      const reached = index < end ? index : end;
      if (reached <= committed) return false;
      committed = reached;
      return true;
    },
    install(received) {
      assert(received.index > committed, "only a snapshot that is ahead of the state replaces it");
      snapshot = received;
      restore = received;
      base = received;
      entries = [];
      committed = received.index;
      installing = true;
      unwrittenFrom = indexAfter(received.index);
      flush.reset();
    },
    compact(taken, through) {
      assert(taken.index <= applied, `a snapshot is of what was applied, up to ${applied}, not of ${taken.index}`);
      if (taken.index > snapshot.index) snapshot = taken;
      const cut = through < snapshot.index ? through : snapshot.index;
      const term = termAt(cut);
      if (cut <= base.index || term === undefined) return;
      entries = entries.slice(cut - base.index);
      base = { index: cut, term };
    },
    takeUnwritten(sequence) {
      const taken = entries.slice(unwrittenFrom - base.index - 1);
      if (taken.length > 0 || installing) flush.written(sequence, last().index);
      installing = false;
      unwrittenFrom = indexAfter(last().index);
      return taken;
    },
    hasUnwritten: () => installing || unwrittenFrom <= last().index,
    acknowledgeFlush: (sequence) => flush.acknowledged(sequence),
    takeRestore() {
      if (restore === undefined || flush.flushed() < restore.index) return undefined;
      const taken = restore;
      restore = undefined;
      applied = taken.index;
      return taken;
    },
    takeCommitted(bytesMax) {
      const through = applicable();
      if (restore !== undefined || through <= applied) return [];
      const taken = read(indexAfter(applied), through, bytesMax);
      applied = taken.at(-1)?.index ?? applied;
      return taken;
    },
  };
}
