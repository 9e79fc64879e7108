/**
 * Reads the segments of a log, oldest first.
 *
 * | found                                                              | then                                         |
 * |--------------------------------------------------------------------|----------------------------------------------|
 * | an invalid frame in a segment that is not the last                 | DAMAGED: it was flushed before the next began |
 * | an invalid frame that a later one says was flushed                 | DAMAGED: acknowledged entries are in it      |
 * | any other invalid frame                                            | a torn tail, cut off there                   |
 * | the last segment without a whole header, and nothing behind it     | its making was under way: removed            |
 * | a gap between segments, a valid frame that does not follow         | DAMAGED                                      |
 */
import { join } from "node:path/posix";
import { MalformedBytesError } from "@tidemark/consensus/store";
import type { DiskFile } from "@tidemark/disk";
import { type Entry, type LogIndex, logIndex, noIndex } from "@tidemark/raft";
import { RaftOpenError } from "./errors.ts";
import { decodeFrame, type Frame, type FrameCodec, wasFlushed } from "./frames.ts";
import { segmentHeaderBytes, segmentPattern } from "./layout.ts";
import { decodeSegmentHeader, lastOf, type Segment, type SegmentOptions } from "./segment.ts";

export interface RecoveredLog {
  /** Oldest first. */
  readonly segments: readonly Segment[];
  readonly entries: readonly Entry[];
  /** Bytes that were cut off behind the last whole frame. */
  readonly cutBytes: number;
}

/** Throws RaftOpenError, or what the disk throws. What it returns is durable: also what only the page cache had. */
export async function recoverLog(options: SegmentOptions): Promise<RecoveredLog> {
  const { disk, directory } = options;
  const names = (await disk.list(directory)).map(({ name }) => name).filter((name) => segmentPattern.test(name));
  const segments: Segment[] = [];
  const entries: Entry[] = [];
  let cutBytes = 0;
  for (const [at, name] of names.entries()) {
    const isLast = at === names.length - 1;
    const read = await readSegment(options, name, isLast);
    if (read === undefined) continue;
    const before = segments.at(-1);
    if (before !== undefined && lastOf(before) + 1 !== read.segment.first) {
      throw damaged(
        read.segment.path,
        `it begins at ${read.segment.first}, and the one before ends at ${lastOf(before)}`,
      );
    }
    segments.push(read.segment);
    for (const entry of read.entries) entries.push(entry);
    ({ cutBytes } = read);
  }
  return { segments, entries, cutBytes };
}

interface ReadSegment {
  readonly segment: Segment;
  readonly entries: readonly Entry[];
  readonly cutBytes: number;
}

async function readSegment(options: SegmentOptions, name: string, isLast: boolean): Promise<ReadSegment | undefined> {
  const { disk, directory, crc32c } = options;
  const path = join(directory, name);
  const file = await disk.open(path);
  try {
    const bytes = await file.read(0, await file.size());
    const header = decodeSegmentHeader(bytes, path, crc32c);
    if (header === undefined) {
      if (!isLast || bytes.length > segmentHeaderBytes) throw damaged(path, "its header does not read back");
      await file.close();
      await disk.remove(path);
      await disk.syncDirectory(directory);
      return undefined;
    }
    const codec: FrameCodec = { salt: header.salt, crc32c };
    const scan = scanFrames(bytes, { first: header.first, codec, path });
    if (scan.end < bytes.length && (!isLast || wasFlushed(bytes, scan.end, scan.next, codec))) {
      throw damaged(path, `entry ${scan.next}, at byte ${scan.end} of ${bytes.length}, had been flushed`);
    }
    if (isLast) await makeDurable(file, bytes, scan);
    const { positions, entries, end } = scan;
    return {
      segment: { path, file, first: header.first, codec, positions, end },
      entries,
      cutBytes: bytes.length - end,
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

interface Scan {
  readonly positions: number[];
  readonly entries: readonly Entry[];
  /** Where the first frame stood that is not valid, or the end. */
  readonly end: number;
  /** The index that comes next there. */
  readonly next: LogIndex;
  /** Behind the last entry that is known to have been flushed. 0: none of the segment is, and its header may not be either. */
  readonly flushedEnd: number;
}

function scanFrames(
  bytes: Uint8Array,
  segment: { readonly first: LogIndex; readonly codec: FrameCodec; readonly path: string },
): Scan {
  const positions: number[] = [];
  const entries: Entry[] = [];
  const ends: number[] = [];
  let end = segmentHeaderBytes;
  let flushed = noIndex;
  for (;;) {
    const frame = frameAt(bytes, end, segment);
    if (frame === undefined) break;
    const next = segment.first + entries.length;
    if (frame.entry !== undefined) {
      if (frame.index !== next) throw damaged(segment.path, `entry ${frame.index} stands in the place of ${next}`);
      positions.push(end);
      entries.push(frame.entry);
      ends.push(end + frame.length);
    }
    flushed = frame.flushed;
    end += frame.length;
  }
  // A mark behind that entry says that it was flushed, and may not be so itself.
  const flushedEnd = ends[flushed - segment.first] ?? 0;
  return { positions, entries, end, next: logIndex(segment.first + entries.length), flushedEnd };
}

function frameAt(
  bytes: Uint8Array,
  position: number,
  { codec, path }: { readonly codec: FrameCodec; readonly path: string },
): Frame | undefined {
  try {
    return decodeFrame(bytes, position, codec);
  } catch (error) {
    if (!(error instanceof MalformedBytesError) && !(error instanceof RangeError)) throw error;
    throw new RaftOpenError("MALFORMED", path, error.message, { cause: error });
  }
}

/**
 * What was read is told to others, so it has to be on stable storage: after a flush that failed, pages that were not
 * written count as clean, which is why they are written anew and not only flushed.
 */
async function makeDurable(file: DiskFile, bytes: Uint8Array, { end, flushedEnd }: Scan): Promise<void> {
  if (end < bytes.length) await file.truncate(end);
  if (flushedEnd < end) await file.write(flushedEnd, [bytes.subarray(flushedEnd, end)]);
  await file.sync();
}

function damaged(path: string, message: string): RaftOpenError {
  return new RaftOpenError("DAMAGED", path, `${message}: replace this member by one with an empty directory`);
}
