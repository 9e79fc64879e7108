import type { Offset } from "@tidemark/ids";
import type { WindowBatch } from "./producer-batch.ts";
import type { ProducerEntry } from "./snapshot.ts";

/** What one batch changed of its producer. */
type Change =
  /** It began a producer, or a producer epoch. */
  | { readonly kind: "replaced"; readonly before: ProducerEntry | undefined }
  /** It joined the window, from which another one went. */
  | { readonly kind: "pushed"; readonly evicted: WindowBatch | undefined }
  /** It was forgotten to make room for another one. */
  | { readonly kind: "forgotten"; readonly before: ProducerEntry };

/** What batches changed that are ordered and not written yet: those of which a full disk may take nothing. */
export interface Journal {
  note(offset: Offset, producerId: bigint, change: Change): void;
  /** What lies below `upTo` is never taken back. */
  forgetBelow(upTo: Offset): void;
  /** Makes the producers what they were before the batches at or above `from`. */
  undoFrom(from: Offset): void;
  clear(): void;
}

export function createJournal(producers: Map<bigint, ProducerEntry>): Journal {
  let notes: { readonly offset: Offset; readonly producerId: bigint; readonly change: Change }[] = [];
  return {
    note(offset, producerId, change) {
      notes.push({ offset, producerId, change });
    },
    forgetBelow(upTo) {
      if (notes.length === 0) return;
      const kept = notes.findIndex(({ offset }) => offset >= upTo);
      if (kept === -1) notes = [];
      else if (kept > 0) notes.splice(0, kept);
    },
    undoFrom(from) {
      for (let last = notes.at(-1); last !== undefined && last.offset >= from; last = notes.at(-1)) {
        notes.pop();
        undo(producers, last.producerId, last.change);
      }
    },
    clear() {
      notes = [];
    },
  };
}

function undo(producers: Map<bigint, ProducerEntry>, producerId: bigint, change: Change): void {
  switch (change.kind) {
    case "replaced":
    case "forgotten":
      if (change.before === undefined) producers.delete(producerId);
      else producers.set(producerId, change.before);
      return;
    case "pushed": {
      const batches = producers.get(producerId)?.batches;
      batches?.pop();
      if (change.evicted !== undefined) batches?.unshift(change.evicted);
    }
  }
}
