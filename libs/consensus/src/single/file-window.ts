import type { DiskFile } from "@tidemark/disk";
import type { ReadAt } from "./frames.ts";

/** Reads a file from front to back in large pieces, whatever the size of what is asked for. */
export function createFileWindow(file: DiskFile, windowBytes = 1024 * 1024): ReadAt {
  let start = 0;
  let window: Uint8Array = new Uint8Array(0);

  return async (position, length) => {
    const isInside = position >= start && position + length <= start + window.length;
    if (!isInside) {
      window = await file.read(position, Math.max(length, windowBytes));
      start = position;
    }
    return window.subarray(position - start, position - start + length);
  };
}
