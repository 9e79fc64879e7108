import type { Offset } from "@tidemark/ids";
import type { Damage, LogError } from "./errors.ts";

/** Batches that were written together, and are flushed together. */
export interface WrittenGroup {
  readonly batches: number;
  readonly writeMs: number;
  /** Base offset of the segment that they went to, and the byte at which they begin there. */
  readonly segment: Offset;
  readonly position: number;
}

/**
 * What a log tells the one who drives it, in the order in which it happens and without waiting for anyone.
 *
 * | kind     | meaning                                                                                           |
 * |----------|---------------------------------------------------------------------------------------------------|
 * | written  | everything below `upTo` can be read                                                               |
 * | flushed  | everything below `upTo` is on stable storage (with flush=async: written)                          |
 * | refused  | nothing at or above `from` that was appended is in the log, which ends there again                |
 * | cut      | the log was cut; it ends at `end`                                                                 |
 * | logStart | records below `logStart` are gone                                                                 |
 * | offline  | damage was found; the log neither reads nor appends any more                                      |
 * | failed   | its directory failed; as offline, and nothing that was not yet flushed may be relied upon         |
 */
export type LogEvent =
  | { readonly kind: "written"; readonly upTo: Offset; readonly group: WrittenGroup }
  /** `syncMs`: how long the fdatasync took; undefined where there was none, as with flush=async. */
  | { readonly kind: "flushed"; readonly upTo: Offset; readonly syncMs?: number | undefined }
  | { readonly kind: "refused"; readonly from: Offset; readonly error: LogError }
  | { readonly kind: "cut"; readonly end: Offset }
  | { readonly kind: "logStart"; readonly logStart: Offset }
  | { readonly kind: "offline"; readonly damage: Damage }
  | { readonly kind: "failed"; readonly error: LogError };

export type LogListener = (event: LogEvent) => void;
