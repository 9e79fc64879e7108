import { utf8 } from "../bytes.ts";

/** Bytes that grow as they are written. Numbers are big-endian. */
export interface ByteWriter {
  u8(value: number): void;
  u16(value: number): void;
  u32(value: number): void;
  u64(value: bigint): void;
  raw(bytes: Uint8Array): void;
  /** UTF-8 behind its length, u16. */
  key(text: string): void;
  /** Bytes behind their length, u32. */
  value(bytes: Uint8Array): void;
  length(): number;
  /** What was written so far, without a copy. */
  written(): Uint8Array<ArrayBuffer>;
}

export function createByteWriter(capacity = 1024): ByteWriter {
  let bytes = new Uint8Array(capacity);
  let view = new DataView(bytes.buffer);
  let length = 0;

  /** Where the next `count` bytes go. */
  const reserve = (count: number): number => {
    const at = length;
    length += count;
    if (length > bytes.length) {
      const grown = new Uint8Array(Math.max(length, 2 * bytes.length));
      grown.set(bytes.subarray(0, at));
      bytes = grown;
      view = new DataView(bytes.buffer);
    }
    return at;
  };

  const writer: ByteWriter = {
    // The place is reserved before the view is read: reserving may replace it.
    u8: (value) => put((at) => view.setUint8(at, value), 1),
    u16: (value) => put((at) => view.setUint16(at, value), 2),
    u32: (value) => put((at) => view.setUint32(at, value), 4),
    u64: (value) => put((at) => view.setBigUint64(at, value), 8),
    raw: (source) => put((at) => bytes.set(source, at), source.length),
    key(text) {
      const encoded = utf8(text);
      writer.u16(encoded.length);
      writer.raw(encoded);
    },
    value(source) {
      writer.u32(source.length);
      writer.raw(source);
    },
    length: () => length,
    written: () => bytes.subarray(0, length),
  };

  function put(write: (at: number) => void, count: number): void {
    write(reserve(count));
  }

  return writer;
}
