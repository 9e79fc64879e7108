import type { Offset } from "@tidemark/ids";
import type { Segment } from "../segment/segment.ts";

/** Where reads ended: whoever reads on from there needs no lookup, and one read of the file. */
export interface Cursors {
  /** Made by the first read. */
  known: Map<Offset, Cursor> | undefined;
  /** The log's generation for which they hold: a cut may write over what lies behind a cursor. */
  generation: number;
}

interface Cursor {
  readonly segment: Segment;
  readonly position: number;
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
  cursors.known = undefined;
}

export function cursorAt(cursors: Cursors, segment: Segment, offset: Offset): number | undefined {
  const cursor = cursors.known?.get(offset);
  return cursor?.segment === segment ? cursor.position : undefined;
}

/** Takes note of where a read of `generation` ended, if that is still the one. */
export function rememberCursor(
  cursors: Cursors,
  { generation, offset, ...cursor }: Cursor & { readonly generation: number; readonly offset: Offset },
): void {
  if (cursors.generation !== generation) return;
  const known = (cursors.known ??= new Map<Offset, Cursor>());
  known.delete(offset);
  known.set(offset, cursor);
  if (known.size <= cursorsMax) return;
  for (const oldest of known.keys()) {
    known.delete(oldest);
    return;
  }
}
