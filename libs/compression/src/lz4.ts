import type { Codec } from "@tidemark/record";
import { lz4FrameSize } from "./lz4-frame.ts";
import { attempt, plain } from "./outcome.ts";

/** Brings in the native library; rejects where there is none for the platform. */
export async function loadLz4(): Promise<Codec> {
  const { compressFrameSync, decompressFrameSync } = await import("lz4-napi");
  return {
    name: "lz4",
    compress: (bytes) => plain(compressFrameSync(asBuffer(bytes))),
    decompress(bytes, maxBytes) {
      const size = lz4FrameSize(bytes, maxBytes);
      return size.kind === "ok" ? attempt(() => decompressFrameSync(asBuffer(bytes))) : size;
    },
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
