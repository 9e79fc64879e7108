import { createByteReader, createByteWriter, sameBytes } from "@tidemark/consensus/store";
import { type Entry, type LogIndex, logIndex, noIndex, type Term, term } from "@tidemark/raft";
import type { Crc32c } from "@tidemark/record";
import { frameDataBytesMax, frameHeaderBytes, frameKinds, saltBytes } from "./layout.ts";
import { readMembership, writeMembership } from "./membership-codec.ts";

/** What all frames of one segment have in common. */
export interface FrameCodec {
  readonly salt: Uint8Array;
  readonly crc32c: Crc32c;
}

/** What was read at a position of a segment. */
export interface Frame {
  /** Undefined: a mark. */
  readonly entry: Entry | undefined;
  readonly index: LogIndex;
  /** Everything up to this index was flushed before the frame was written. */
  readonly flushed: LogIndex;
  /** Bytes, header included. */
  readonly length: number;
}

export function encodeEntry(entry: Entry, flushed: LogIndex, codec: FrameCodec): readonly Uint8Array[] {
  const data = dataOf(entry);
  return [headerOf({ ...entry, kind: frameKinds[entry.kind], flushed, data }, codec), data];
}

export function encodeMark(flushed: LogIndex, codec: FrameCodec): readonly Uint8Array[] {
  const data = new Uint8Array();
  return [headerOf({ index: flushed, term: term(0), kind: frameKinds.mark, flushed, data }, codec)];
}

/** The frame at `position` of the bytes. Undefined where no valid one stands. */
export function decodeFrame(bytes: Uint8Array, position: number, { salt, crc32c }: FrameCodec): Frame | undefined {
  const dataAt = position + frameHeaderBytes;
  if (dataAt > bytes.length) return undefined;
  const header = bytes.subarray(position, dataAt);
  const reader = createByteReader(header);
  if (!sameBytes(reader.raw(saltBytes), salt)) return undefined;
  const [index, entryTerm, flushed] = [Number(reader.u64()), Number(reader.u64()), Number(reader.u64())];
  const kind = reader.u8();
  const length = reader.u32();
  const checksum = reader.u32();
  if (length > frameDataBytesMax || dataAt + length > bytes.length) return undefined;
  const data = bytes.subarray(dataAt, dataAt + length);
  if (crc32c(data, crc32c(header.subarray(0, frameHeaderBytes - 4))) !== checksum) return undefined;
  const at = { index: logIndex(index), term: term(entryTerm) };
  return {
    entry: entryOf(kind, at, data),
    index: at.index,
    flushed: logIndex(flushed),
    length: frameHeaderBytes + length,
  };
}

interface Header {
  readonly index: LogIndex;
  readonly term: Term;
  readonly kind: number;
  readonly flushed: LogIndex;
  readonly data: Uint8Array;
}

function headerOf({ index, term: entryTerm, kind, flushed, data }: Header, { salt, crc32c }: FrameCodec): Uint8Array {
  const writer = createByteWriter(frameHeaderBytes);
  writer.raw(salt);
  writer.u64(BigInt(index));
  writer.u64(BigInt(entryTerm));
  writer.u64(BigInt(flushed));
  writer.u8(kind);
  writer.u32(data.length);
  writer.u32(crc32c(data, crc32c(writer.written())));
  return writer.written();
}

function dataOf(entry: Entry): Uint8Array {
  switch (entry.kind) {
    case "noop":
      return new Uint8Array();
    case "batch":
      return entry.data;
    case "membership": {
      const writer = createByteWriter();
      writeMembership(writer, entry.membership);
      return writer.written();
    }
  }
}

/** Throws MalformedBytesError or a RangeError for what nothing of ours wrote. */
function entryOf(
  kind: number,
  at: { readonly index: LogIndex; readonly term: Term },
  data: Uint8Array,
): Entry | undefined {
  switch (kind) {
    case frameKinds.noop:
      return { kind: "noop", ...at };
    case frameKinds.batch:
      return { kind: "batch", ...at, data };
    case frameKinds.membership:
      return { kind: "membership", ...at, membership: readMembership(createByteReader(data)) };
    case frameKinds.mark:
      return undefined;
    default:
      throw new RangeError(`an entry at ${at.index} has the unknown kind ${kind}`);
  }
}

/** Whether a valid frame behind `position` says that the entry `index` had been flushed when it was written. */
export function wasFlushed(bytes: Uint8Array, position: number, index: LogIndex, codec: FrameCodec): boolean {
  const searched = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = searched.indexOf(codec.salt, position + 1); at !== -1; at = searched.indexOf(codec.salt, at + 1)) {
    if ((decodeFrame(bytes, at, codec)?.flushed ?? noIndex) >= index) return true;
  }
  return false;
}
