import type { Crc32c } from "@tidemark/record";
import { sameBytes, utf8 } from "../bytes.ts";
import { createByteReader } from "./byte-reader.ts";
import { createByteWriter } from "./byte-writer.ts";
import {
  formatVersion,
  frameHeaderBytes,
  frameKinds,
  headerBytes,
  magic,
  payloadBytesMax,
  saltBytes,
} from "./layout.ts";

export type FrameKind = keyof typeof frameKinds;

export interface Frame {
  readonly kind: FrameKind | "unknown";
  readonly payload: Uint8Array;
  readonly position: number;
  /** Everything below this position was on stable storage before the frame was written. */
  readonly flushed: number;
  /** Position behind the frame. */
  readonly end: number;
}

/** What all frames of one file have in common. */
export interface FrameCodec {
  readonly salt: Uint8Array;
  readonly crc32c: Crc32c;
}

export type FileHeader =
  | { readonly kind: "valid"; readonly salt: Uint8Array }
  | { readonly kind: "newer"; readonly version: number }
  | { readonly kind: "malformed" };

export function encodeHeader({ salt, crc32c }: FrameCodec): Uint8Array<ArrayBuffer> {
  const writer = createByteWriter(headerBytes);
  writer.raw(utf8(magic));
  writer.u32(formatVersion);
  writer.raw(salt);
  writer.u32(crc32c(writer.written()));
  return writer.written();
}

/** A newer version may have laid out everything behind the version number anew: it is not checked. */
export function decodeHeader(bytes: Uint8Array, crc32c: Crc32c): FileHeader {
  if (bytes.length < headerBytes) return { kind: "malformed" };
  const reader = createByteReader(bytes);
  if (!sameBytes(reader.raw(magic.length), utf8(magic))) return { kind: "malformed" };
  const version = reader.u32();
  if (version > formatVersion) return { kind: "newer", version };
  const salt = reader.raw(saltBytes);
  const isValid = reader.u32() === crc32c(bytes.subarray(0, headerBytes - 4));
  return isValid ? { kind: "valid", salt } : { kind: "malformed" };
}

export function encodeFrame(
  frame: Pick<Frame, "payload" | "position" | "flushed"> & { readonly kind: FrameKind },
  { salt, crc32c }: FrameCodec,
): readonly Uint8Array[] {
  const writer = createByteWriter(frameHeaderBytes);
  writer.raw(salt);
  writer.u64(BigInt(frame.position));
  writer.u64(BigInt(frame.flushed));
  writer.u8(frameKinds[frame.kind]);
  writer.u32(frame.payload.length);
  writer.u32(crc32c(frame.payload, crc32c(writer.written())));
  return [writer.written(), frame.payload];
}

/** Reads at most `length` bytes at a position: fewer at the end of the file. */
export type ReadAt = (position: number, length: number) => Promise<Uint8Array>;

/** The frame at a position, with a payload that is not copied. Undefined where no valid one stands. */
export async function readFrame(
  readAt: ReadAt,
  position: number,
  { salt, crc32c }: FrameCodec,
): Promise<Frame | undefined> {
  const header = await readAt(position, frameHeaderBytes);
  if (header.length < frameHeaderBytes) return undefined;
  const reader = createByteReader(header);
  if (!sameBytes(reader.raw(saltBytes), salt) || reader.u64() !== BigInt(position)) return undefined;
  const flushed = Number(reader.u64());
  const kind = reader.u8();
  const length = reader.u32();
  const checksum = reader.u32();
  if (length > payloadBytesMax) return undefined;
  const payload = await readAt(position + frameHeaderBytes, length);
  if (payload.length < length) return undefined;
  if (crc32c(payload, crc32c(header.subarray(0, frameHeaderBytes - 4))) !== checksum) return undefined;
  return { kind: kindOf(kind), payload, position, flushed, end: position + frameHeaderBytes + length };
}

function kindOf(code: number): FrameKind | "unknown" {
  switch (code) {
    case frameKinds.snapshotPart:
      return "snapshotPart";
    case frameKinds.snapshotEnd:
      return "snapshotEnd";
    case frameKinds.batches:
      return "batches";
    case frameKinds.mark:
      return "mark";
    default:
      return "unknown";
  }
}
