import { isLast } from "../checks/log-image.ts";
import type { SnapshotChunk } from "../messages.ts";

/** `sizeBytes` bytes that begin with `state`, as far as they reach. Nothing is state 0. */
export function encodeState(state: number, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  if (sizeBytes >= 4) new DataView(bytes.buffer).setInt32(0, state);
  return bytes;
}

/** Puts the pieces of one snapshot together. */
export function createReceipt() {
  let bytes = new Uint8Array();
  return {
    /** The state of the snapshot that these pieces complete, if they do. */
    take(chunks: readonly SnapshotChunk[]): number | undefined {
      let state: number | undefined;
      for (const chunk of chunks) {
        if (chunk.offset === 0) bytes = new Uint8Array(chunk.snapshot.sizeBytes);
        bytes.set(chunk.data, chunk.offset);
        if (isLast(chunk)) state = bytes.byteLength >= 4 ? new DataView(bytes.buffer).getInt32(0) : 0;
      }
      return state;
    },
  };
}
