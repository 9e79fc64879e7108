/**
 * Whoever reads a log from front to back finds its next piece read already: the disk works while the piece before is
 * checked and handed out. What is read ahead is neither checked nor believed until somebody asks for it.
 *
 * | what happens                                    | what becomes of the piece                                   |
 * |-------------------------------------------------|-------------------------------------------------------------|
 * | the reader comes back, and it is enough for him | it is his                                                   |
 * | the reader asks for more than was read          | dropped                                                     |
 * | the log is cut, compacted, deleted from, closed | dropped                                                     |
 * | the reader does not come back                   | dropped when another piece needs its room                   |
 * | the device fails                                | the reader reads again, and hears of it from that           |
 */
import type { Clock } from "@tidemark/runtime";
import type { LogContext } from "../context.ts";
import type { Segment } from "../segment/segment.ts";

/** Room of a directory for what its logs read ahead. */
export interface ReadAheadRoom {
  /**
   * Room for so many bytes, until `release` is called, as `onDrop` should do as soon as it can. Undefined where others
   * have it, who may still come back.
   */
  reserve(bytes: number, onDrop: () => void): Reservation | undefined;
}

interface Reservation {
  /** Gives the room back. May be called again. */
  release(): void;
}

interface Holder {
  readonly bytes: number;
  readonly since: number;
  readonly onDrop: () => void;
}

/** Bytes of all logs of a directory: sixteen readers of 1 MiB at a time. */
export const readAheadBytesDefault = 16 * 1024 * 1024;
/** A reader who did not come back for so long may lose his piece to another, in milliseconds. */
const patienceMs = 1000;

/** `maxBytes`: 0 reads nothing ahead. */
export function createReadAheadRoom(maxBytes: number, clock: Clock): ReadAheadRoom {
  // A set keeps the order of insertion: the oldest stands first.
  const holders = new Set<Holder>();
  let taken = 0;
  const release = (holder: Holder) => {
    if (holders.delete(holder)) taken -= holder.bytes;
  };
  const dropForgotten = (bytes: number) => {
    const forgottenBefore = clock.monotonicMs() - patienceMs;
    for (const holder of holders) {
      if (taken + bytes <= maxBytes || holder.since > forgottenBefore) return;
      holder.onDrop();
    }
  };
  return {
    reserve(bytes, onDrop) {
      if (bytes > maxBytes) return undefined;
      if (taken + bytes > maxBytes) dropForgotten(bytes);
      if (taken + bytes > maxBytes) return undefined;
      const holder = { bytes, since: clock.monotonicMs(), onDrop };
      holders.add(holder);
      taken += bytes;
      return { release: () => release(holder) };
    },
  };
}

/** A piece of a segment that is being read, or was. */
export interface PieceAhead {
  readonly length: number;
  /** Taken once. Undefined where it could not be read. Never rejects. */
  take(): Promise<Uint8Array | undefined>;
  drop(): void;
}

/** Begins to read `length` bytes from `position` on; all of them must be in the segment. Undefined: there is no room. */
export function beginPiece(
  context: LogContext,
  { path }: Segment,
  { position, length }: { readonly position: number; readonly length: number },
): PieceAhead | undefined {
  let isRead = false;
  let isDropped = false;
  const drop = () => {
    isDropped = true;
    // A read that is under way has its memory until it ends.
    if (isRead) reservation?.release();
  };
  const reservation = context.readAhead.reserve(length, drop);
  if (reservation === undefined) return undefined;
  const reading = readQuietly(context, path, { position, length }).then((bytes) => {
    isRead = true;
    if (isDropped) reservation.release();
    return bytes;
  });
  return {
    length,
    take() {
      drop();
      return reading;
    },
    drop,
  };
}

async function readQuietly(
  { files }: LogContext,
  path: string,
  { position, length }: { readonly position: number; readonly length: number },
): Promise<Uint8Array | undefined> {
  try {
    const { file, release } = await files.acquire(path);
    try {
      const bytes = await file.read(position, length);
      return bytes.length === length ? bytes : undefined;
    } finally {
      release();
    }
  } catch {
    // Whether that is damage is found out by the reader who needs these bytes, if one does.
    return undefined;
  }
}
