import * as zlib from "node:zlib";
import type { Codec, Decompressed } from "@tidemark/record";
import { attempt, corrupt, plain, tooLarge, zlibFailure } from "./outcome.ts";
import { readZstdFrame } from "./zstd-frame.ts";

/** Node's own where it has one (22.15 and later), otherwise one in WebAssembly, as for Node 20. */
export function loadZstd(): Promise<Codec> {
  return "zstdCompressSync" in zlib ? Promise.resolve(nodeZstd) : loadWasmZstd();
}

/** The smallest step in which node:zlib takes memory, in bytes. */
const chunkBytesMin = 64;

/** Zstandard at the level that Kafka too takes by default (3). */
export const nodeZstd: Codec = {
  name: "zstd",
  compress: (bytes) => plain(zlib.zstdCompressSync(bytes)),
  decompress(bytes, maxBytes) {
    const frame = readZstdFrame(bytes, maxBytes);
    if (frame.kind !== "ok") return frame;
    const sizes = { maxOutputLength: Math.max(1, maxBytes), chunkSize: Math.max(chunkBytesMin, frame.sizeMax) };
    return attempt(() => zlib.zstdDecompressSync(bytes, sizes), zlibFailure);
  },
};

/** How the WebAssembly build names the library's error for "destination too small". */
const destinationTooSmall = /code -70$/;

/** The same on top of WebAssembly. Its memory grows to what the largest batch took, and stays. */
export async function loadWasmZstd(): Promise<Codec> {
  const wasm = await import("@bokuweb/zstd-wasm");
  await wasm.init();
  return {
    name: "zstd",
    compress: (bytes) => wasm.compress(bytes),
    decompress(bytes, maxBytes): Decompressed {
      // The library believes the header: what it declares was checked, and what it does not is given here.
      const frame = readZstdFrame(bytes, maxBytes);
      if (frame.kind !== "ok") return frame;
      return attempt(
        () => wasm.decompress(bytes, { defaultHeapSize: Math.max(1, frame.sizeMax) }),
        (error) => (error instanceof Error && destinationTooSmall.test(error.message) ? tooLarge : corrupt),
      );
    },
  };
}
