import type { Codec, Decompressed } from "@tidemark/record";
import { attempt, corrupt, plain, tooLarge } from "./outcome.ts";
import { declaredSize, isXerial, toXerial, xerialBlocks } from "./xerial.ts";

/** Memory that the library lends out instead costs more to take back than the copy does. */
const copied = { copyOutputData: true };

/**
 * Brings in the native library; rejects where there is none for the platform. Writes framed blocks as Kafka's clients
 * do, and reads these and, as librdkafka writes it, one raw block.
 */
export async function loadSnappy(): Promise<Codec> {
  const { compressSync, uncompressSync } = await import("snappy");
  const uncompressed = (block: Uint8Array) => uncompressSync(block, { ...copied, asBuffer: true }) as Buffer;

  function fromRaw(bytes: Uint8Array, maxBytes: number): Decompressed {
    const size = declaredSize(bytes);
    if (size === undefined) return corrupt;
    return size > maxBytes ? tooLarge : attempt(() => uncompressed(bytes));
  }

  function fromXerial(bytes: Uint8Array, maxBytes: number): Decompressed {
    const framed = xerialBlocks(bytes, maxBytes);
    if (framed.kind !== "ok") return framed;
    return attempt(() => {
      const together = new Uint8Array(framed.size);
      let position = 0;
      for (const block of framed.blocks) {
        const piece = uncompressed(block);
        together.set(piece, position);
        position += piece.length;
      }
      return together;
    });
  }

  return {
    name: "snappy",
    compress: (bytes) => toXerial(bytes, (block) => plain(compressSync(block, copied))),
    decompress: (bytes, maxBytes) => (isXerial(bytes) ? fromXerial(bytes, maxBytes) : fromRaw(bytes, maxBytes)),
  };
}
