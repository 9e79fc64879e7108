import type { DiskFile } from "@tidemark/disk";
import { type BatchHeader, type Crc32c, type HeaderDamage, hasValidCrc, readBatchHeader } from "@tidemark/record";
import { concatenate } from "../bytes.ts";

/** Bytes that are read at a time. The next piece is on its way while one is checked. */
const pieceBytesDefault = 4 * 1024 * 1024;

/**
 * Why a scan stopped.
 *
 * | kind       | meaning                                                                       |
 * |------------|-------------------------------------------------------------------------------|
 * | end        | the range ends where a batch does                                             |
 * | incomplete | the range ends within a batch, or within what claims to be one                |
 * | malformed  | the bytes are no batch                                                        |
 * | crc        | a batch does not match its checksum                                           |
 * | refused    | the visitor did not want the batch                                            |
 */
export type ScanStop =
  | { readonly kind: "end" }
  | { readonly kind: "incomplete" }
  | { readonly kind: "malformed"; readonly reason: HeaderDamage }
  | { readonly kind: "crc" }
  | { readonly kind: "refused"; readonly reason: string };

export interface ScanRange {
  readonly from: number;
  readonly to: number;
  /** Checks each batch. Without it only the headers are looked at. */
  readonly crc32c?: Crc32c;
  /** Smaller pieces leave more room for others in between. */
  readonly pieceBytes?: number;
}

export interface ScanResult {
  /** Up to here there are whole batches that were visited and wanted. */
  readonly position: number;
  readonly stop: ScanStop;
}

/** Sees each batch in order. `bytes` hold it at `header.position`; a reason that is returned ends the scan before it. */
export type BatchVisitor = (header: BatchHeader, bytes: Uint8Array, position: number) => string | undefined;

/** Walks over the batches of a file between two positions. */
export async function scanBatches(
  file: Pick<DiskFile, "read">,
  range: ScanRange,
  visit: BatchVisitor,
): Promise<ScanResult> {
  const pieceBytes = range.pieceBytes ?? pieceBytesDefault;
  let start = range.from;
  let readTo = Math.min(range.to, start + pieceBytes);
  let bytes = await file.read(start, readTo - start);
  for (;;) {
    const next = readTo < range.to ? file.read(readTo, Math.min(pieceBytes, range.to - readTo)) : undefined;
    // The promise is awaited below unless the scan ends before: then nobody asks whether the read failed.
    next?.catch(() => undefined);
    const step = walk(bytes, start, range.crc32c, visit);
    if (step.stop.kind !== "incomplete" && step.stop.kind !== "end") return step;
    if (next === undefined) return step;
    const more = await next;
    if (more.length === 0) return step;
    bytes = concatenate(bytes.subarray(step.position - start), more);
    start = step.position;
    readTo += more.length;
  }
}

function walk(bytes: Uint8Array, start: number, crc32c: Crc32c | undefined, visit: BatchVisitor): ScanResult {
  let at = 0;
  while (at < bytes.length) {
    const step = readBatchHeader(bytes, at);
    const position = start + at;
    switch (step.kind) {
      case "incomplete":
        return { position, stop: { kind: "incomplete" } };
      case "malformed":
        return { position, stop: { kind: "malformed", reason: step.reason } };
      case "ok": {
        const { header } = step;
        if (crc32c !== undefined && !hasValidCrc(bytes, header, crc32c)) return { position, stop: { kind: "crc" } };
        const reason = visit(header, bytes, position);
        if (reason !== undefined) return { position, stop: { kind: "refused", reason } };
        at += header.sizeInBytes;
      }
    }
  }
  return { position: start + at, stop: { kind: "end" } };
}
