import { Metadata } from "@grpc/grpc-js";

/** Headers or trailers of a call, for reading. Keys are lower case; keys of binary values end in `-bin`. */
export interface CallMetadata {
  /** The first text value of the key. Undefined when there is none. */
  get(key: string): string | undefined;
  /** The first binary value of a key that ends in `-bin`. */
  getBinary(key: string): Uint8Array | undefined;
}

/** Headers to send: text, or bytes under a key that ends in `-bin`. */
export type MetadataInit = Readonly<Record<string, string | Uint8Array>>;

export function readMetadata(metadata: Metadata): CallMetadata {
  return {
    get(key) {
      const [value] = metadata.get(key);
      return typeof value === "string" ? value : undefined;
    },
    getBinary(key) {
      const [value] = metadata.get(key);
      return typeof value === "object" ? value : undefined;
    },
  };
}

export function toMetadata(init: MetadataInit): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(init)) {
    metadata.set(key, typeof value === "string" ? value : Buffer.from(value));
  }
  return metadata;
}
