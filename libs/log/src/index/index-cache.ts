import type { Segment } from "../segment/segment.ts";
import type { SegmentIndex } from "./segment-index.ts";

/** Bounds the memory of indexes: of segments that grow no more, only those used last stay loaded. */
export interface IndexCache {
  /** The segment's index was used. */
  touch(segment: Segment, index: SegmentIndex): void;
  /** The segment's index stays loaded, since it grows again, or is gone. */
  forget(segment: Segment): void;
}

export function createIndexCache(maxBytes: number): IndexCache {
  const loaded = new Map<Segment, number>();
  let bytes = 0;
  const forget = (segment: Segment) => {
    bytes -= loaded.get(segment) ?? 0;
    loaded.delete(segment);
  };
  return {
    touch(segment, index) {
      forget(segment);
      const size =
        index.offsets.items.byteLength * 2 + index.times.items.byteLength + index.timeOffsets.items.byteLength;
      loaded.set(segment, size);
      bytes += size;
      for (const oldest of loaded.keys()) {
        if (bytes <= maxBytes || oldest === segment) return;
        forget(oldest);
        oldest.index = undefined;
      }
    },
    forget,
  };
}
