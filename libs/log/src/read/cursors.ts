import type { Offset } from "@tidemark/ids";
import type { Segment } from "../segment/segment.ts";

/** Where reads ended: whoever reads on from there needs no lookup, and one read of the file. */
export interface Cursors {
  positionOf(segment: Segment, offset: Offset): number | undefined;
  remember(segment: Segment, offset: Offset, position: number): void;
}

/** Followers and consumers that read one log at a time. */
const cursorsMax = 16;

export function createCursors(): Cursors {
  const cursors = new Map<Offset, { readonly segment: Segment; readonly position: number }>();
  return {
    positionOf(segment, offset) {
      const cursor = cursors.get(offset);
      return cursor?.segment === segment ? cursor.position : undefined;
    },
    remember(segment, offset, position) {
      cursors.delete(offset);
      cursors.set(offset, { segment, position });
      if (cursors.size <= cursorsMax) return;
      for (const oldest of cursors.keys()) {
        cursors.delete(oldest);
        return;
      }
    },
  };
}
