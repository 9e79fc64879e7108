/**
 * The file of the single-node backend, `metadata.log`. All numbers are big-endian and unsigned.
 *
 *     header   "TIDEMETA", version u32, salt 8 bytes, crc32c u32 of what stands before
 *     frames   snapshot parts, one snapshot end, then batches and marks as they were written
 *
 *     frame    salt 8 bytes, position u64, flushed u64, kind u8, length u32, crc32c u32, payload of `length` bytes
 *
 * - The salt is random for each file and the position is the frame's own: together they tell a frame from bytes that
 *   look like one, wherever a search begins.
 * - `flushed`: everything below this position was on stable storage before the frame was written. An invalid frame
 *   below the `flushed` of a valid one is damage; any other was being written when the power failed.
 * - The checksum covers the frame's header before it, and the payload.
 *
 *     kind 1   snapshot part: entries, each flags u8 (1: ephemeral), key length u16, key, value length u32, value
 *     kind 2   snapshot end: revision u64, count of entries u64
 *     kind 3   batches: each revision u64, count of changes u16, changes, each kind u8 (1 put, 2 delete, 3 ephemeral
 *              put), key length u16, key, and for puts value length u32, value
 *     kind 4   mark: nothing. Written behind a batch frame when nothing else is waiting, so that damage to the last
 *              committed batch is not taken for a write that was under way
 */

export const headerBytes = 24;
export const frameHeaderBytes = 33;
/** Longer ones are not written, and not believed. */
export const payloadBytesMax = 8 * 1024 * 1024;
/** The newest version that this code reads, and the one that it writes. */
export const formatVersion = 1;

export const magic = "TIDEMETA";
export const saltBytes = 8;

export const frameKinds = { snapshotPart: 1, snapshotEnd: 2, batches: 3, mark: 4 } as const;
export const changeKinds = { put: 1, delete: 2, ephemeralPut: 3 } as const;
export const entryFlags = { ephemeral: 1 } as const;
