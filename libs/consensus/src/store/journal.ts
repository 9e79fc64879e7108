import type { Revision } from "@tidemark/ids";
import type { CommittedBatch, StoredValue } from "./store-link.ts";

/**
 * | kind    | meaning                                                                       |
 * |---------|-------------------------------------------------------------------------------|
 * | written | survives the crash of every process and the loss of power                     |
 * | noSpace | the storage is full; nothing of it is left there                              |
 * | failed  | the storage failed: what is on it is not known, and nothing more may be written |
 */
export type JournalOutcome =
  | { readonly kind: "written" }
  | { readonly kind: "noSpace" | "failed"; readonly message: string };

/** Where a store keeps its batches. One call at a time; a journal that failed is called no more but for `close`. */
export interface Journal {
  write(batches: readonly CommittedBatch[]): Promise<JournalOutcome>;
  /** Nothing more is waiting to be written. */
  idle(): Promise<JournalOutcome>;
  /** Whether enough was written since the last compaction to make one worth its while. */
  wantsCompaction(): boolean;
  /** Takes the place of all batches by the state that they led to. `noSpace` leaves everything as it was. */
  compact(revision: Revision, entries: ReadonlyMap<string, StoredValue>): Promise<JournalOutcome>;
  close(): Promise<void>;
}
