/**
 * `.index` and `.timeindex` on disk: a header of 72 bytes, then Kafka's entries.
 *
 * An index is a cache of what the log says, so it is never needed and never synced by itself. Its header tells what it
 * covers and the checksum of the entries; the last covered batch, read from the log, tells that it belongs to this log
 * and not to what stood there before. One that is missing, short or does not prove itself is made anew by reading.
 */
import type { Offset } from "@tidemark/ids";
import type { Crc32c } from "@tidemark/record";
import { viewOf } from "../bytes.ts";
import { pushInt64, pushUint32 } from "./growable.ts";
import { type Coverage, createSegmentIndex, type SegmentIndex } from "./segment-index.ts";

export const indexHeaderBytes = 72;
const magic = 0x544d4958;
const version = 1;

/** Relative to the segment's base offset, at most `successorMax`; never 0. */
type RelativeOffset = number;
/** The field of a successor has 32 bits. */
export const successorMax = 0xffff_ffff;
type Kind = "index" | "timeIndex";
const kindNumbers: Record<Kind, number> = { index: 1, timeIndex: 2 };
const entryBytes: Record<Kind, number> = { index: 8, timeIndex: 12 };

/**
 * Both files, whole. `successor`: base offset of the segment that follows, where that is settled; by it a start finds out
 * that a segment in the middle is gone.
 */
export function encodeIndex(
  { index, successor }: { readonly index: SegmentIndex; readonly successor: RelativeOffset | undefined },
  crc32c: Crc32c,
): { readonly index: Uint8Array; readonly timeIndex: Uint8Array } {
  return {
    index: withHeader("index", encodeOffsets(index), { ...index, successor }, crc32c),
    timeIndex: withHeader("timeIndex", encodeTimes(index), { ...index, successor }, crc32c),
  };
}

/** What both files say together. Undefined unless both are whole and cover the same. */
export function decodeIndex(
  files: { readonly index: Uint8Array; readonly timeIndex: Uint8Array },
  baseOffset: Offset,
  crc32c: Crc32c,
): SegmentIndex | undefined {
  const covered = readHeader("index", files.index, crc32c);
  const timeCovered = readHeader("timeIndex", files.timeIndex, crc32c);
  if (covered === undefined || timeCovered === undefined) return undefined;
  // The batch that proves the one proves the other only if both are of the same log.
  if (!isSame(covered, timeCovered)) return undefined;
  const index = createSegmentIndex(baseOffset);
  index.covered = covered;
  index.firstTimestamp = viewOf(files.index).getBigInt64(56);
  const offsets = viewOf(files.index);
  for (let at = indexHeaderBytes; at < files.index.length; at += entryBytes.index) {
    pushUint32(index.offsets, offsets.getUint32(at));
    pushUint32(index.positions, offsets.getUint32(at + 4));
  }
  index.lastPosition = index.positions.items[index.positions.length - 1] ?? 0;
  const times = viewOf(files.timeIndex);
  for (let at = indexHeaderBytes; at < files.timeIndex.length; at += entryBytes.timeIndex) {
    pushInt64(index.times, times.getBigInt64(at));
    pushUint32(index.timeOffsets, times.getUint32(at + 8));
  }
  return index;
}

function isSame(one: Coverage, other: Coverage): boolean {
  return (
    one.bytes === other.bytes &&
    one.nextOffset === other.nextOffset &&
    one.lastBatch?.crc === other.lastBatch?.crc &&
    one.maxTimestamp === other.maxTimestamp &&
    one.maxTimestampOffset === other.maxTimestampOffset
  );
}

function encodeOffsets(index: SegmentIndex): Uint8Array {
  const bytes = new Uint8Array(indexHeaderBytes + index.offsets.length * entryBytes.index);
  const view = viewOf(bytes);
  for (let entry = 0; entry < index.offsets.length; entry++) {
    const at = indexHeaderBytes + entry * entryBytes.index;
    view.setUint32(at, index.offsets.items[entry] ?? 0);
    view.setUint32(at + 4, index.positions.items[entry] ?? 0);
  }
  return bytes;
}

function encodeTimes(index: SegmentIndex): Uint8Array {
  const bytes = new Uint8Array(indexHeaderBytes + index.times.length * entryBytes.timeIndex);
  const view = viewOf(bytes);
  for (let entry = 0; entry < index.times.length; entry++) {
    const at = indexHeaderBytes + entry * entryBytes.timeIndex;
    view.setBigInt64(at, index.times.items[entry] ?? 0n);
    view.setUint32(at + 8, index.timeOffsets.items[entry] ?? 0);
  }
  return bytes;
}

function withHeader(
  kind: Kind,
  bytes: Uint8Array,
  { covered, firstTimestamp, successor }: SegmentIndex & { readonly successor: RelativeOffset | undefined },
  crc32c: Crc32c,
): Uint8Array {
  const view = viewOf(bytes);
  view.setUint32(0, magic);
  view.setUint16(4, version);
  view.setUint16(6, kindNumbers[kind]);
  view.setUint32(8, (bytes.length - indexHeaderBytes) / entryBytes[kind]);
  view.setUint32(12, covered.bytes);
  view.setBigInt64(16, covered.nextOffset);
  view.setBigInt64(24, covered.maxTimestamp);
  view.setBigInt64(32, covered.maxTimestampOffset);
  view.setUint32(40, covered.lastBatch?.position ?? 0);
  view.setUint32(44, covered.lastBatch?.crc ?? 0);
  view.setUint32(48, covered.lastBatch === undefined ? 0 : 1);
  view.setUint32(52, successor ?? 0);
  view.setBigInt64(56, firstTimestamp);
  view.setUint32(64, crc32c(bytes.subarray(indexHeaderBytes)));
  view.setUint32(68, crc32c(bytes.subarray(0, 68)));
  return bytes;
}

/** What the header of an `.index` file says without its entries; undefined when it is none. */
export function readIndexHeader(
  bytes: Uint8Array,
  crc32c: Crc32c,
): { readonly covered: Coverage; readonly successor: RelativeOffset | undefined } | undefined {
  const header = bytes.subarray(0, indexHeaderBytes);
  if (header.length < indexHeaderBytes || viewOf(header).getUint32(68) !== crc32c(header.subarray(0, 68)))
    return undefined;
  const covered = coverageIn("index", header);
  const successor = viewOf(header).getUint32(52);
  return covered === undefined ? undefined : { covered, successor: successor === 0 ? undefined : successor };
}

function readHeader(kind: Kind, bytes: Uint8Array, crc32c: Crc32c): Coverage | undefined {
  if (bytes.length < indexHeaderBytes) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(68) !== crc32c(bytes.subarray(0, 68))) return undefined;
  if (bytes.length !== indexHeaderBytes + view.getUint32(8) * entryBytes[kind]) return undefined;
  if (view.getUint32(64) !== crc32c(bytes.subarray(indexHeaderBytes))) return undefined;
  return coverageIn(kind, bytes);
}

function coverageIn(kind: Kind, bytes: Uint8Array): Coverage | undefined {
  const view = viewOf(bytes);
  if (view.getUint32(0) !== magic || view.getUint16(4) !== version) return undefined;
  if (view.getUint16(6) !== kindNumbers[kind]) return undefined;
  return {
    bytes: view.getUint32(12),
    nextOffset: view.getBigInt64(16) as Offset,
    lastBatch: view.getUint32(48) === 0 ? undefined : { position: view.getUint32(40), crc: view.getUint32(44) },
    maxTimestamp: view.getBigInt64(24),
    maxTimestampOffset: view.getBigInt64(32) as Offset,
  };
}
