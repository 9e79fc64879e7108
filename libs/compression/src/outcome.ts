import type { Decompressed } from "@tidemark/record";

export const corrupt: Decompressed = { kind: "corrupt" };
export const tooLarge: Decompressed = { kind: "tooLarge" };

/** The same bytes without what Buffer adds, whose `slice` does not copy. */
export function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The same, copied out when it is a small part of a larger buffer: who keeps a record must not keep that too. */
function trimmed(bytes: Uint8Array): Uint8Array {
  return bytes.buffer.byteLength > 2 * bytes.byteLength ? Uint8Array.from(bytes) : plain(bytes);
}

/** What a library makes of hostile bytes. It throws for anything that it cannot read: `failureOf` says what that means. */
export function attempt(
  decompress: () => Uint8Array,
  failureOf: (error: unknown) => Decompressed = () => corrupt,
): Decompressed {
  try {
    return { kind: "ok", bytes: trimmed(decompress()) };
  } catch (error) {
    return failureOf(error);
  }
}

/** How node:zlib ends when more comes out than `maxOutputLength`. */
export function zlibFailure(error: unknown): Decompressed {
  const isTooLarge = error instanceof RangeError && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
  return isTooLarge ? tooLarge : corrupt;
}
