import { gunzipSync, gzipSync } from "node:zlib";
import type { Codec } from "@tidemark/record";
import { attempt, corrupt, plain, tooLarge, zlibFailure } from "./outcome.ts";

/** The smallest step in which node:zlib takes memory, in bytes. */
const chunkBytesMin = 64;

/** Gzip at the level that Kafka too takes by default (6). */
export const gzip: Codec = {
  name: "gzip",
  compress: (bytes) => plain(gzipSync(bytes)),
  decompress(bytes, maxBytes) {
    if (bytes.length === 0) return corrupt;
    if (maxBytes < 1) return tooLarge;
    const chunkSize = Math.max(chunkBytesMin, Math.min(declaredSize(bytes), maxBytes));
    return attempt(() => gunzipSync(bytes, { maxOutputLength: maxBytes, chunkSize }), zlibFailure);
  },
};

/** The size that the last four bytes tell, so that what comes out is not put together from pieces. Only a hint. */
function declaredSize(bytes: Uint8Array): number {
  if (bytes.length < 4) return 0;
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(bytes.length - 4, true);
}
