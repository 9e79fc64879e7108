/** The codecs of Kafka's record batch. A codec's id, as the attributes carry it, is its index here. */
export const codecNames = ["none", "gzip", "snappy", "lz4", "zstd"] as const;

/** A codec by the name that settings give it (`compression.type`). */
export type CodecName = (typeof codecNames)[number];

/** The name of a codec id (0 to 7, three bits); undefined for 5 to 7, which nobody has given a meaning. */
export function codecNameOf(id: number): CodecName | undefined {
  return codecNames[id];
}

/** The id of a codec as bits 0 to 2 of the attributes carry it. */
export function codecIdOf(name: CodecName): number {
  return codecNames.indexOf(name);
}

/**
 * - `tooLarge`: the content is larger than the caller allowed. It was not allocated.
 * - `corrupt`: these bytes are not what the codec writes.
 */
export type Decompressed =
  | { readonly kind: "ok"; readonly bytes: Uint8Array }
  | { readonly kind: "tooLarge" }
  | { readonly kind: "corrupt" };

/**
 * One way to compress. Synchronous: a batch is at most a megabyte or so, only producers, consumers and the log's
 * cleaner come here, and records keep their order without anybody waiting.
 */
export interface Codec {
  readonly name: CodecName;
  /** May return the very bytes it was given. */
  readonly compress: (bytes: Uint8Array) => Uint8Array;
  /**
   * Never throws on hostile bytes, and never allocates more than about `maxBytes` for what comes out. May return a
   * slice of the bytes it was given.
   */
  readonly decompress: (bytes: Uint8Array, maxBytes: number) => Decompressed;
}

/** What a process can compress and decompress. A codec that is not there is not supported by it. */
export type Codecs = Readonly<Partial<Record<CodecName, Codec>>>;

/** How many times its compressed size a batch may have when decompressed. What we encode never has more. */
export const decompressionRatioMax = 100;

/**
 * What a batch may have decompressed, in bytes: no leader takes one that has more, so every reader that allows as much
 * reads whatever was accepted.
 */
export const decompressedBytesMax = 64 * 2 ** 20;
