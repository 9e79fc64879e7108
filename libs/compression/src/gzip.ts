import { gunzipSync, gzipSync } from "node:zlib";
import type { Codec } from "@tidemark/record";
import { attempt, plain, tooLarge, zlibFailure } from "./outcome.ts";

/** The smallest step in which node:zlib takes memory, in bytes. */
const chunkBytesMin = 64;

/** Gzip at the level that Kafka too takes by default (6). */
export const gzip: Codec = {
  name: "gzip",
  compress: (bytes) => plain(gzipSync(bytes)),
  decompress(bytes, maxBytes) {
    if (maxBytes < 1) return tooLarge;
    const chunkSize = chunkBytes(bytes, maxBytes);
    return attempt(() => gunzipSync(bytes, { maxOutputLength: maxBytes, chunkSize }), zlibFailure);
  },
};

/**
 * How much memory to take at a time: what the last four bytes say that comes out, so that it need not be put together
 * from pieces. Anybody may write anything there, so it is never more than may come out.
 */
export function chunkBytes(bytes: Uint8Array, maxBytes: number): number {
  return Math.max(chunkBytesMin, Math.min(declaredSize(bytes), maxBytes));
}

function declaredSize(bytes: Uint8Array): number {
  if (bytes.length < 4) return 0;
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(bytes.length - 4, true);
}
