/**
 * Whoever reads a log from front to back finds its next pieces read already: the disk works while the piece before is
 * checked and handed out. Pieces end where the index says that batches do, so that one begins where the one before it
 * ends. What is read ahead is neither checked nor believed until somebody asks for it.
 *
 * | what happens                                    | what becomes of the pieces                                  |
 * |-------------------------------------------------|-------------------------------------------------------------|
 * | the reader comes back and asks for as much      | the first is his, the others wait for him where it ended    |
 * | he asks for another size, or ends elsewhere     | dropped                                                     |
 * | the log is cut, compacted, deleted from, closed | dropped                                                     |
 * | the reader does not come back                   | dropped when another piece needs its room                   |
 * | the device fails                                | the reader reads again, and hears of it from that           |
 */
import type { Offset } from "@tidemark/ids";
import type { Clock } from "@tidemark/runtime";
import type { LogContext } from "../context.ts";
import { endOfPiece } from "../index/segment-index.ts";
import { activeSegment, type LogState } from "../log-state.ts";
import type { Segment } from "../segment/segment.ts";
import { type Cursor, dropAhead } from "./cursors.ts";

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

/** Bytes of all logs of a directory: eight readers at a time. */
export const readAheadBytesDefault = 16 * 1024 * 1024;
/**
 * Bytes of one read of the disk: several pieces of a reader who takes little at a time. When no more than so many are left
 * ahead of a reader, as many again are read, so that the thread that reads has no pause.
 */
const chunkBytes = 1024 * 1024;
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
  readonly position: number;
  readonly length: number;
  /** Taken once. Undefined where it could not be read. Never rejects. */
  take(): Promise<Uint8Array | undefined>;
  drop(): void;
}

/**
 * What was read ahead for this reader, if he asks for as much as the reader before him. Another reader may stand at the
 * same place and have taken the piece that begins there: the one behind it is not what this one asks for.
 */
export async function takeAhead(cursor: Cursor, maxBytes: number): Promise<Uint8Array | undefined> {
  const [first, ...others] = cursor.ahead;
  if (first?.position !== cursor.position || maxBytes !== cursor.maxBytes) return undefined;
  cursor.ahead = others;
  return first.take();
}

/** The reader has gone on: so has what was read ahead for him, if he is where it begins. */
export function moveAhead(from: Cursor, to: Cursor): void {
  const isHis = to.ahead.length === 0 && from.ahead[0]?.position === to.position;
  if (!isHis) {
    dropAhead(from);
    return;
  }
  to.ahead = from.ahead;
  from.ahead = [];
}

/**
 * Reads on ahead of the cursor, up to `upTo`. At the end of a segment that grows, what is there by then is read when it is
 * asked for: it will be more.
 */
export function readAhead(log: LogState, cursor: Cursor, upTo: Offset): void {
  const { context, settings } = log;
  const { segment, maxBytes } = cursor;
  const { index, baseOffset } = segment;
  // Where several entries' worth do not fit, pieces would end where the reader does not.
  if (index === undefined || maxBytes < settings.indexIntervalBytes) return;
  const isActive = segment === activeSegment(log);
  const endAfter = (position: number): number | undefined => {
    if (isActive && position + maxBytes > segment.size) return undefined;
    const end = endOfPiece(index, { from: position, maxBytes, baseOffset });
    const isThere = end.position > position && end.belowOffset <= upTo;
    return isThere ? end.position : undefined;
  };
  for (;;) {
    const last = cursor.ahead.at(-1);
    const from = last === undefined ? cursor.position : last.position + last.length;
    if (from - cursor.position > chunkBytes) return;
    const bounds = [from];
    for (let end = endAfter(from); end !== undefined; end = endAfter(end)) {
      if (bounds.length > 1 && end - from > chunkBytes) break;
      bounds.push(end);
    }
    if (bounds.length === 1) return;
    const pieces = beginPieces(context, segment, bounds);
    if (pieces === undefined) return;
    cursor.ahead.push(...pieces);
  }
}

/** Begins to read what lies between the bounds, which are all in the segment. Undefined: there is no room. */
function beginPieces(
  context: LogContext,
  { path }: Segment,
  bounds: readonly number[],
): readonly PieceAhead[] | undefined {
  const [from = 0, to = from] = [bounds[0], bounds.at(-1)];
  let isRead = false;
  let left = bounds.length - 1;
  const releaseIfOver = () => {
    // A read that is under way has its memory until it ends.
    if (isRead && left === 0) reservation?.release();
  };
  const pieces: PieceAhead[] = [];
  const reservation = context.readAhead.reserve(to - from, () => {
    for (const piece of pieces) piece.drop();
  });
  if (reservation === undefined) return undefined;
  const reading = readQuietly(context, path, { position: from, length: to - from }).then((bytes) => {
    isRead = true;
    releaseIfOver();
    return bytes;
  });
  for (const [number, end] of bounds.slice(1).entries()) {
    const position = bounds[number] ?? from;
    let isOver = false;
    const drop = () => {
      if (isOver) return;
      isOver = true;
      left--;
      releaseIfOver();
    };
    pieces.push({
      position,
      length: end - position,
      async take() {
        drop();
        return (await reading)?.subarray(position - from, end - from);
      },
      drop,
    });
  }
  return pieces;
}

async function readQuietly(
  { files }: LogContext,
  path: string,
  { position, length }: { readonly position: number; readonly length: number },
): Promise<Uint8Array | undefined> {
  try {
    const { file, release } = await files.acquire(path);
    try {
      return await file.read(position, length);
    } finally {
      release();
    }
  } catch {
    // Whether that is damage is found out by the reader who needs these bytes, if one does.
    return undefined;
  }
}
