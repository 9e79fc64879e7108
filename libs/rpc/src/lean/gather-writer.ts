import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { gather, type WireBytes } from "../wire/wire-bytes.ts";

/** From here on bytes are referred to; below it a copy costs less than one more piece. */
const BY_REFERENCE_BYTES = 1024;

/** Writes a message as pieces: small fields into buffers of its own, big ones by reference, in the order of the wire. */
export interface GatherWriter {
  /** Where small things are written. */
  readonly small: BinaryWriter;
  /** A bytes field with its tag and length. The bytes are not copied: they must stay as they are until sent. */
  bytes(fieldNumber: number, value: Uint8Array): void;
  /** A message field: `write` writes the message, its length goes before it. */
  message(fieldNumber: number, write: (into: GatherWriter) => void): void;
  /** Everything that was written, as pieces. Ends the writer. */
  pieces(): readonly Uint8Array[];
}

export function createGatherWriter(): GatherWriter {
  const small = new BinaryWriter();
  const done: Uint8Array[] = [];
  const add = (piece: Uint8Array) => {
    const before = small.finish();
    if (before.length > 0) done.push(before);
    done.push(piece);
  };
  return {
    small,
    bytes(fieldNumber, value) {
      small.tag(fieldNumber, WireType.LengthDelimited);
      if (value.byteLength < BY_REFERENCE_BYTES) {
        small.bytes(value);
        return;
      }
      small.uint32(value.byteLength);
      add(value);
    },
    message(fieldNumber, write) {
      const inner = createGatherWriter();
      write(inner);
      const pieces = inner.pieces();
      let length = 0;
      for (const piece of pieces) length += piece.length;
      small.tag(fieldNumber, WireType.LengthDelimited).uint32(length);
      for (const piece of pieces) {
        if (piece.length < BY_REFERENCE_BYTES) small.raw(piece);
        else add(piece);
      }
    },
    pieces() {
      const rest = small.finish();
      if (rest.length > 0) done.push(rest);
      return done;
    },
  };
}

/** What was written as one message. */
export function toWireBytes(writer: GatherWriter): WireBytes {
  return gather(writer.pieces());
}
