/**
 * The entries that a node keeps, behind a base of which only the position is known. Indexes have no gaps, terms never fall.
 */
import { assert } from "./assert.ts";
import { type Entry, entryBytes } from "./entry.ts";
import { indexAfter, type LogIndex, type Position, type Term } from "./ids.ts";

export interface EntryReader {
  /** The last position before the entries that are kept. */
  readonly base: () => Position;
  readonly last: () => Position;
  /** Undefined where it is not kept. */
  readonly entryAt: (index: LogIndex) => Entry | undefined;
  /** Undefined beyond the end, and before the base, where it is forgotten. */
  readonly termAt: (index: LogIndex) => Term | undefined;
  readonly has: (position: Position) => boolean;
  /** The last index up to `from` whose term is not later than `term`. One before the base when that is forgotten. */
  readonly lastNotAfter: (from: LogIndex, term: Term) => LogIndex;
  /** Entries from `from`, behind the base, up to `through`: at least one where there is one, no more than `bytesMax`. */
  readonly read: (from: LogIndex, through: LogIndex, bytesMax: number) => readonly Entry[];
}

export interface EntryStore extends EntryReader {
  /** Adds behind the end. */
  readonly append: (entries: readonly Entry[]) => void;
  /** Forgets `from` and everything behind it. */
  readonly cutFrom: (from: LogIndex) => void;
  /** Forgets everything up to `through`, which becomes the base. Nothing when that is forgotten already. */
  readonly dropThrough: (through: LogIndex) => void;
  /** Forgets everything; what comes next stands behind `base`. */
  readonly reset: (base: Position) => void;
}

export function createEntryStore(start: Position, found: readonly Entry[]): EntryStore {
  let base = start;
  let entries: Entry[] = [...found];
  const last = (): Position => entries.at(-1) ?? base;
  const entryAt = (index: LogIndex): Entry | undefined => entries[index - base.index - 1];
  const termAt = (index: LogIndex) => (index === base.index ? base.term : entryAt(index)?.term);

  const endWithin = (begin: number, endMax: number, bytesMax: number): number => {
    let end = begin;
    for (let bytes = 0; end < endMax; end++) {
      const entry = entries[end];
      if (entry === undefined) break;
      bytes += entryBytes(entry);
      if (bytes > bytesMax && end > begin) break;
    }
    return end;
  };

  return {
    base: () => base,
    last,
    entryAt,
    termAt,
    has: (position) => termAt(position.index) === position.term,
    lastNotAfter(from, term) {
      let index = from < last().index ? from : last().index;
      for (let found = termAt(index); found !== undefined && found > term; found = termAt(index)) {
        index = indexAfter(index, -1);
      }
      return index;
    },
    read(from, through, bytesMax) {
      const begin = from - base.index - 1;
      assert(begin >= 0, `entries are read behind the base ${base.index}, not from ${from}`);
      return entries.slice(begin, endWithin(begin, Math.min(entries.length, through - base.index), bytesMax));
    },
    append(added) {
      for (const entry of added) {
        const before = last();
        assert(entry.index === before.index + 1 && entry.term >= before.term, "entries follow each other");
        entries.push(entry);
      }
    },
    cutFrom(from) {
      entries.length = Math.max(0, from - base.index - 1);
    },
    dropThrough(through) {
      const term = termAt(through);
      if (through <= base.index || term === undefined) return;
      entries = entries.slice(through - base.index);
      base = { index: through, term };
    },
    reset(newBase) {
      base = newBase;
      entries = [];
    },
  };
}
