/**
 * Which part of the log is on stable storage, while writes are on their way.
 *
 * 1. An index counts as flushed only after the acknowledgement of a write that held the entry which stands there now.
 * 2. Cutting the log takes back what lies beyond the cut, in what is flushed and in every write that is still out.
 *
 * A write is known by its number. Term and index alone would not do: an entry may be cut, replaced, and put back by a
 * third leader, and the acknowledgement of the first writing would then vouch for the last.
 */
import { indexAfter, type LogIndex, noIndex } from "./ids.ts";

export interface FlushTracker {
  /** The last index up to which everything is flushed. */
  flushed(): LogIndex;
  /** A write that makes the log reach `last`. Sequences grow. */
  written(sequence: number, last: LogIndex): void;
  /** The write with this sequence, and all before it, are on stable storage. */
  acknowledged(sequence: number): void;
  /** The log is cut: `from` and everything behind it is gone. */
  cutFrom(from: LogIndex): void;
  /** The log was replaced as a whole; nothing of the new one is flushed. */
  reset(): void;
}

interface Write {
  readonly sequence: number;
  last: LogIndex;
}

export function createFlushTracker(flushedAtStart: LogIndex): FlushTracker {
  let flushed = flushedAtStart;
  let writes: Write[] = [];
  return {
    flushed: () => flushed,
    written(sequence, last) {
      writes.push({ sequence, last });
    },
    acknowledged(sequence) {
      let done = 0;
      for (const write of writes) {
        if (write.sequence > sequence) break;
        if (write.last > flushed) flushed = write.last;
        done++;
      }
      if (done > 0) writes = writes.slice(done);
    },
    cutFrom(from) {
      const kept = indexAfter(from, -1);
      if (flushed > kept) flushed = kept;
      for (const write of writes) if (write.last > kept) write.last = kept;
    },
    reset() {
      flushed = noIndex;
      writes = [];
    },
  };
}
