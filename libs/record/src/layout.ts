/**
 * Kafka's record batch, version 2: where each field of the header stands. Every number is big-endian and signed,
 * the CRC alone is unsigned.
 *
 * | byte | field           | type  |
 * |------|-----------------|-------|
 * | 0    | baseOffset      | int64 |
 * | 8    | batchLength     | int32 | bytes after this field
 * | 12   | leaderEpoch     | int32 |
 * | 16   | magic           | int8  | 2
 * | 17   | crc             | uint32| CRC-32C of everything after this field
 * | 21   | attributes      | int16 |
 * | 23   | lastOffsetDelta | int32 |
 * | 27   | baseTimestamp   | int64 |
 * | 35   | maxTimestamp    | int64 |
 * | 43   | producerId      | int64 |
 * | 51   | producerEpoch   | int16 |
 * | 53   | baseSequence    | int32 |
 * | 57   | recordCount     | int32 |
 * | 61   | records         |       | compressed together when the attributes name a codec
 *
 * Base offset, length, leader epoch and magic stand before the CRC: a leader writes the first and the third without
 * touching it (L1).
 */
export const fieldAt = {
  baseOffset: 0,
  batchLength: 8,
  leaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  recordCount: 57,
} as const;

/** Bytes of a batch before its first record. */
export const batchHeaderBytes = 61;

/** Bytes that `batchLength` leaves out: the base offset and the length itself. */
export const lengthOverhead = 12;

/** The only version that is read or written. */
export const magicV2 = 2;

/**
 * Bits of the attributes.
 *
 * | bits | meaning                                                                  |
 * |------|--------------------------------------------------------------------------|
 * | 0-2  | codec id                                                                 |
 * | 3    | timestamp type: 0 create time, 1 log append time                         |
 * | 4    | transactional                                                            |
 * | 5    | control                                                                  |
 * | 6    | the base timestamp is the delete horizon (set by a log's cleaner only)   |
 * | 7-15 | unused, zero                                                             |
 */
export const attributeBits = {
  codec: 0b111,
  logAppendTime: 1 << 3,
  transactional: 1 << 4,
  control: 1 << 5,
  deleteHorizon: 1 << 6,
  unused: 0xff80,
} as const;

/**
 * Bytes of the smallest record: one byte each for its length, attributes, timestamp delta, offset delta, key length,
 * value length and header count.
 */
export const recordBytesMin = 7;

/** The largest int16: of producer epochs. */
export const int16Max = 2 ** 15 - 1;
/** The largest int32: of lengths, counts, deltas and sequences. */
export const int32Max = 2 ** 31 - 1;
/** The largest int64: of offsets, times and producer ids. */
export const int64Max = 2n ** 63n - 1n;

/** A view over exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
