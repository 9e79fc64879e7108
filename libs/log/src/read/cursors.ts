import type { Offset } from "@tidemark/ids";
import type { Segment } from "../segment/segment.ts";
import type { PieceAhead } from "./read-ahead.ts";

/** Where reads ended: whoever reads on from there needs no lookup, and one read of the file. */
export interface Cursors {
  /** Made by the first read. */
  known: Map<Offset, Cursor> | undefined;
  /** The log's generation for which they hold: a cut may write over what lies behind a cursor. */
  generation: number;
}

export interface Cursor {
  readonly segment: Segment;
  readonly position: number;
  /** What the read that ended here was allowed. */
  maxBytes: number;
  /** What was read from here on for whoever comes: one piece behind the other. */
  ahead: PieceAhead[];
}

/** Followers and consumers that read one log at a time. */
const cursorsMax = 16;

export function createCursors(): Cursors {
  return { known: undefined, generation: 0 };
}

/** Forgets everything unless it is of this generation. */
export function renewCursors(cursors: Cursors, generation: number): void {
  if (cursors.generation === generation) return;
  cursors.generation = generation;
  forgetCursors(cursors);
}

/** Forgets everything, with what was read ahead. */
export function forgetCursors(cursors: Cursors): void {
  for (const cursor of cursors.known?.values() ?? []) dropAhead(cursor);
  cursors.known = undefined;
}

export function cursorAt(cursors: Cursors, segment: Segment, offset: Offset): Cursor | undefined {
  const cursor = cursors.known?.get(offset);
  return cursor?.segment === segment ? cursor : undefined;
}

/** Takes note of where a read of `generation` ended. Undefined if that is no longer the one. */
export function rememberCursor(
  cursors: Cursors,
  place: Pick<Cursor, "segment" | "position" | "maxBytes"> & { readonly generation: number; readonly offset: Offset },
): Cursor | undefined {
  const { generation, offset, segment, position, maxBytes } = place;
  if (cursors.generation !== generation) return undefined;
  const known = (cursors.known ??= new Map<Offset, Cursor>());
  const found = known.get(offset);
  const cursor = found?.segment === segment ? found : { segment, position, maxBytes, ahead: [] };
  cursor.maxBytes = maxBytes;
  known.delete(offset);
  known.set(offset, cursor);
  if (known.size > cursorsMax) forgetOldest(known);
  return cursor;
}

function forgetOldest(known: Map<Offset, Cursor>): void {
  for (const [offset, cursor] of known) {
    dropAhead(cursor);
    known.delete(offset);
    return;
  }
}

export function dropAhead(cursor: Cursor): void {
  for (const piece of cursor.ahead) piece.drop();
  cursor.ahead = [];
}
