import type { DiskFile } from "@tidemark/disk";
import { type BatchHeader, type Crc32c, type HeaderDamage, hasValidCrc, readBatchHeader } from "@tidemark/record";
import { concatenate } from "../bytes.ts";

/** Bytes that are read at a time. */
const pieceBytesDefault = 1024 * 1024;

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
  /** The visitor keeps slices of the bytes it sees. Otherwise they are valid only while it runs. */
  readonly keepsBytes?: boolean;
  /** Awaited after each piece, when its batches were visited: for a visitor that hands them on to somebody slower. */
  readonly afterPiece?: () => Promise<void>;
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
  const pieces = createPieces(file, range);
  let { bytes, start } = { bytes: await pieces.next(noBytes, 0), start: range.from };
  for (;;) {
    // The next piece is on its way while this one is checked.
    pieces.prefetch();
    const step = walk(bytes, start, range.crc32c, visit);
    if (range.afterPiece !== undefined) await range.afterPiece();
    const { position, stop, bytesClaimed } = step;
    if (stop.kind !== "incomplete" && stop.kind !== "end") return { position, stop };
    // A torn or flipped length may claim gigabytes: what the range cannot hold is not read for it.
    if (position + bytesClaimed > range.to) return { position, stop };
    const rest = bytes.subarray(position - start);
    const joined = await pieces.next(rest, bytesClaimed);
    if (joined.length === rest.length) return { position, stop };
    bytes = joined;
    start = step.position;
  }
}

const noBytes = new Uint8Array(0);

interface Pieces {
  /** Begins to read the next piece. If nobody asks for it, nobody learns whether that failed. */
  prefetch(): void;
  /**
   * `rest`, what was not used of the piece before, with the next piece behind it, up to `bytesWanted` in all if that is
   * more. Without a next piece, `rest` alone.
   */
  next(rest: Uint8Array, bytesWanted: number): Promise<Uint8Array>;
}

/** Room before a piece for the batch that began in the one before: then only that is copied. Bytes. */
const headroomMax = 256 * 1024;

function createPieces(file: Pick<DiskFile, "read">, range: ScanRange): Pieces {
  const pieceBytes = range.pieceBytes ?? pieceBytesDefault;
  const isOnePiece = range.to - range.from <= pieceBytes;
  const headroom = isOnePiece ? 0 : headroomMax;
  const size = isOnePiece ? range.to - range.from : headroom + pieceBytes;
  const buffers: Uint8Array[] = [];
  let position = range.from;
  let turn = 0;
  let fetched: Promise<{ readonly buffer: Uint8Array; readonly length: number }> | undefined;

  const takeBuffer = (): Uint8Array => {
    if (range.keepsBytes === true) return new Uint8Array(size);
    turn = 1 - turn;
    buffers[turn] ??= new Uint8Array(size);
    return buffers[turn] ?? new Uint8Array(size);
  };
  const fetch = async () => {
    const length = Math.min(pieceBytes, range.to - position);
    if (length <= 0) return { buffer: noBytes, length: 0 };
    const buffer = takeBuffer();
    const bytes = await file.read(position, length, buffer.subarray(headroom, headroom + length));
    if (bytes.buffer !== buffer.buffer) buffer.set(bytes, headroom);
    position += bytes.length;
    return { buffer, length: bytes.length };
  };

  return {
    prefetch() {
      fetched ??= fetch();
      fetched.catch(() => undefined);
    },
    async next(rest, bytesWanted) {
      const { buffer, length } = await (fetched ?? fetch());
      fetched = undefined;
      if (length === 0) return rest;
      const piece = buffer.subarray(headroom, headroom + length);
      const missing = bytesWanted - rest.length - length;
      if (missing > 0) {
        // All at once: piece by piece, what is there would be copied again for each.
        const more = await file.read(position, missing);
        position += more.length;
        return concatenate(concatenate(rest, piece), more);
      }
      // A batch larger than the room is rare, and copied whole.
      if (rest.length > headroom) return concatenate(rest, piece);
      buffer.set(rest, headroom - rest.length);
      return buffer.subarray(headroom - rest.length, headroom + length);
    },
  };
}

/** A scan of one piece. */
interface Walked extends ScanResult {
  /** Size of the batch at `position`, as far as its header is there and it is not whole. Else 0. */
  readonly bytesClaimed: number;
}

function walk(bytes: Uint8Array, start: number, crc32c: Crc32c | undefined, visit: BatchVisitor): Walked {
  let at = 0;
  const stopped = (stop: ScanStop, bytesClaimed = 0): Walked => ({ position: start + at, stop, bytesClaimed });
  while (at < bytes.length) {
    const step = readBatchHeader(bytes, at);
    switch (step.kind) {
      case "incomplete":
        return stopped({ kind: "incomplete" }, step.header?.sizeInBytes);
      case "malformed":
        return stopped({ kind: "malformed", reason: step.reason });
      case "ok": {
        const { header } = step;
        if (crc32c !== undefined && !hasValidCrc(bytes, header, crc32c)) return stopped({ kind: "crc" });
        const reason = visit(header, bytes, start + at);
        if (reason !== undefined) return stopped({ kind: "refused", reason });
        at += header.sizeInBytes;
      }
    }
  }
  return stopped({ kind: "end" });
}
