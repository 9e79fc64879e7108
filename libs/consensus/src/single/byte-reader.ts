import { fromUtf8 } from "../bytes.ts";

/** Reads what `ByteWriter` wrote. Anything that goes beyond the bytes throws MalformedBytesError. */
export interface ByteReader {
  u8(): number;
  u16(): number;
  u32(): number;
  u64(): bigint;
  /** A copy. */
  raw(length: number): Uint8Array;
  key(): string;
  /** A copy. */
  value(): Uint8Array;
  atEnd(): boolean;
  /** Bytes behind what was read. */
  left(): number;
}

export class MalformedBytesError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "MalformedBytesError";
  }
}

export function createByteReader(bytes: Uint8Array): ByteReader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let position = 0;

  /** Where the next `count` bytes stand. */
  const advance = (count: number): number => {
    const at = position;
    if (at + count > bytes.length) throw new MalformedBytesError(`${count} bytes wanted, ${bytes.length - at} left`);
    position += count;
    return at;
  };
  const raw = (length: number) => {
    const at = advance(length);
    // Not by `slice`: that of a Buffer shares what it was made of.
    return new Uint8Array(bytes.subarray(at, at + length));
  };

  const reader: ByteReader = {
    u8: () => view.getUint8(advance(1)),
    u16: () => view.getUint16(advance(2)),
    u32: () => view.getUint32(advance(4)),
    u64: () => view.getBigUint64(advance(8)),
    raw,
    key() {
      try {
        return fromUtf8(raw(reader.u16()));
      } catch (error) {
        throw error instanceof TypeError ? new MalformedBytesError("a key is no UTF-8", { cause: error }) : error;
      }
    },
    value: () => raw(reader.u32()),
    atEnd: () => position === bytes.length,
    left: () => bytes.length - position,
  };
  return reader;
}
