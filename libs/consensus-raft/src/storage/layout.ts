/**
 * A node's directory. All numbers are big-endian and unsigned.
 *
 *     identity            text: the cluster, the directory's own id, and why no node starts from it any more, if so.
 *                         Written last by formatting, so that a directory without it was never finished
 *     hard-state          two slots, 4096 bytes apart, the same in both once a write is done: term and vote
 *     snapshot-<index>-<term>
 *     log-<first index>   segments, each ends where the next begins
 *     *.new, incoming     being written, and removed at the next start
 *
 *     slot       "TIDEVOTE", version u32, sequence u64, term u64, vote (length u16, text), crc32c u32
 *     snapshot   "TIDESNAP", version u32, index u64, term u64, size u64, members, crc32c u32, then `size` bytes of state
 *     segment    "TIDERAFT", version u32, salt 8 bytes, first index u64, crc32c u32, then frames
 *     frame      salt 8 bytes, index u64, term u64, flushed u64, kind u8, length u32, crc32c u32, `length` bytes
 *
 * - The salt is random for each segment: it tells a frame from bytes that look like one.
 * - `flushed`: every entry up to this index was on stable storage before the frame was written. An invalid frame below
 *   it is damage; any other was being written when the power failed.
 * - A checksum covers what stands before it in its record, and in a frame the data behind it too.
 * - Conflicting entries are cut, durably, before others are written in their place, so that nothing older ever stands
 *   behind the end of a log.
 *
 *     kind 1   the entry that opens a term
 *     kind 2   batch: its bytes
 *     kind 3   members
 *     kind 4   mark: no entry. Written when nothing else waits, so that damage to the last entry is not taken for a write
 *              that was under way
 */

/** The newest version that this code reads, and the one that it writes. */
export const formatVersion = 1;

export const magics = { hardState: "TIDEVOTE", snapshot: "TIDESNAP", segment: "TIDERAFT" } as const;
export const saltBytes = 8;
export const segmentHeaderBytes = 8 + 4 + saltBytes + 8 + 4;
export const frameHeaderBytes = saltBytes + 8 + 8 + 8 + 1 + 4 + 4;
export const frameKinds = { noop: 1, batch: 2, membership: 3, mark: 4 } as const;
/** Longer ones are not written, and not believed. */
export const frameDataBytesMax = 8 * 1024 * 1024;

export const slotDistanceBytes = 4096;
export const slotBytesMax = 512;

export const fileNames = {
  identity: "identity",
  hardState: "hard-state",
  incoming: "incoming",
  segment: (first: number) => `log-${digits(first, 20)}`,
  snapshot: (index: number, term: number) => `snapshot-${digits(index, 20)}-${digits(term, 20)}`,
} as const;

export const segmentPattern = /^log-(\d{20})$/;
export const snapshotPattern = /^snapshot-(\d{20})-(\d{20})$/;

/** Whether a node wrote the file, and not the lock or somebody else. */
export function isOwnFile(name: string): boolean {
  const { identity, hardState, incoming } = fileNames;
  if (name.endsWith(".new")) return isOwnFile(name.slice(0, -".new".length));
  return (
    name === identity ||
    name === hardState ||
    name === incoming ||
    segmentPattern.test(name) ||
    snapshotPattern.test(name)
  );
}

function digits(value: number, count: number): string {
  return String(value).padStart(count, "0");
}
