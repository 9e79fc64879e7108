import { type ByteWriter, createByteReader, createByteWriter, MalformedBytesError } from "@tidemark/consensus/store";
import type { Crc32c } from "@tidemark/record";
import { RaftOpenError } from "./errors.ts";
import { formatVersion } from "./layout.ts";

export type ByteReader = ReturnType<typeof createByteReader>;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A record that begins with its kind's name and a version, and ends with a checksum of all of it. */
export function encodeRecord(magic: string, write: (writer: ByteWriter) => void, crc32c: Crc32c): Uint8Array {
  const writer = createByteWriter(256);
  writer.raw(encoder.encode(magic));
  writer.u32(formatVersion);
  write(writer);
  writer.u32(crc32c(writer.written()));
  return writer.written();
}

/**
 * What `read` makes of a record, and how many bytes it has. Undefined where its checksum is wrong, or it is not such a
 * record. Throws FORMAT_TOO_NEW for one of a later version, whose layout is not known.
 */
export function decodeRecord<Value>(
  magic: string,
  bytes: Uint8Array,
  options: { readonly read: (reader: ByteReader) => Value; readonly path: string; readonly crc32c: Crc32c },
): { readonly value: Value; readonly bytes: number } | undefined {
  try {
    const reader = createByteReader(bytes);
    if (decoder.decode(reader.raw(magic.length)) !== magic) return undefined;
    const version = reader.u32();
    if (version > formatVersion) {
      const message = `format version ${version} is newer than ${formatVersion}, the newest known here`;
      throw new RaftOpenError("FORMAT_TOO_NEW", options.path, message);
    }
    const value = options.read(reader);
    const length = bytes.length - reader.left();
    return reader.u32() === options.crc32c(bytes.subarray(0, length)) ? { value, bytes: length + 4 } : undefined;
  } catch (error) {
    if (error instanceof MalformedBytesError || error instanceof RangeError) return undefined;
    throw error;
  }
}
