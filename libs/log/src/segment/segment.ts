import { DiskError } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import { batchHeaderBytes, nextOffsetOf, readBatchHeader } from "@tidemark/record";
import type { LogContext } from "../context.ts";
import { DamageError } from "../errors.ts";
import { decodeIndex, encodeIndex, indexHeaderBytes, readIndexHeader, successorMax } from "../index/index-file.ts";
import { createSegmentIndex, indexBatch, isWithinReach, type SegmentIndex } from "../index/segment-index.ts";
import { join, segmentFileName } from "../names.ts";
import { isSpaceError } from "../space.ts";
import { ifReadable } from "../unreadable.ts";
import { damageReading, readOrDamage } from "./read-or-damage.ts";
import { scanBatches } from "./scan.ts";

/** One file of batches, and what is known of it. */
export interface Segment {
  readonly directory: string;
  /** The name of its files; no batch in it has a lower offset. */
  readonly baseOffset: Offset;
  /** Changes when a file that was written aside gets its name. */
  path: string;
  /** Bytes of whole batches: what is behind them in the file is not there. */
  size: number;
  /** The offset after its last batch, or after what compaction took from its end. */
  nextOffset: Offset;
  /** Loaded when it is first needed. */
  index: SegmentIndex | undefined;
}

export function createSegment(directory: string, baseOffset: Offset): Segment {
  return {
    directory,
    baseOffset,
    path: join(directory, segmentFileName(baseOffset, "log")),
    size: 0,
    nextOffset: baseOffset,
    index: undefined,
  };
}

/**
 * Makes the segment's file, empty: one of that name can only be what an attempt left behind that failed later on. Throws
 * DamageError where a directory has the name.
 */
export async function createSegmentFile(context: LogContext, { path, baseOffset }: Segment): Promise<void> {
  try {
    (await context.files.create(path)).release();
    return;
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== "EXISTS") throw error;
  }
  try {
    const { file, release } = await context.files.acquire(path);
    try {
      await file.truncate(0);
    } finally {
      release();
    }
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== "NOT_FOUND") throw error;
    throw new DamageError(
      { kind: "unreadable", offset: baseOffset, detail: `${path} is a directory` },
      { cause: error },
    );
  }
}

function indexPaths(segment: Segment): readonly string[] {
  return (["index", "timeIndex"] as const).map((kind) =>
    join(segment.directory, segmentFileName(segment.baseOffset, kind)),
  );
}

/** Takes note of a batch that was written at the end of the segment. */
export function extendIndex(
  index: SegmentIndex,
  header: Parameters<typeof indexBatch>[1],
  segment: Segment,
  interval: number,
): void {
  indexBatch(index, header, { baseOffset: segment.baseOffset, interval });
}

/** The index files of the segment, if they are whole and prove that they belong to its log. May cover less than it. */
export async function readIndex(context: LogContext, segment: Segment): Promise<SegmentIndex | undefined> {
  const [offsetPath, timePath] = indexPaths(segment);
  const offsets = await readBeginning(context, offsetPath);
  const times = await readBeginning(context, timePath);
  if (offsets === undefined || times === undefined) return undefined;
  const index = decodeIndex({ index: offsets, timeIndex: times }, segment.baseOffset, context.crc32c);
  if (index === undefined || index.covered.bytes > segment.size) return undefined;
  return (await provesItself(context, segment, index)) ? index : undefined;
}

/** Reads the headers of all batches of the segment. Stops where they end; `covered` says where that was. */
export async function buildIndex(context: LogContext, segment: Segment, interval: number): Promise<SegmentIndex> {
  const index = createSegmentIndex(segment.baseOffset);
  const { file, release } = await context.files.acquire(segment.path);
  try {
    const source = damageReading(file, segment, () => index.covered.nextOffset);
    await scanBatches(source, { from: 0, to: segment.size }, (header) => {
      if (header.baseOffset < index.covered.nextOffset) return "offsets go back";
      if (!isWithinReach(nextOffsetOf(header), segment.baseOffset)) return "offsets are of another segment";
      extendIndex(index, header, segment, interval);
      return undefined;
    });
  } finally {
    release();
  }
  return index;
}

/**
 * Writes the index files in place: plain writes, since an index is never needed. `successor`: the base offset of the
 * segment that follows; given only by those who settle which one that is, never by a reader.
 */
export async function writeIndex(
  context: LogContext,
  segment: Segment,
  index: SegmentIndex,
  successor?: Offset,
): Promise<void> {
  const relative = successor === undefined ? undefined : Number(successor - segment.baseOffset);
  // One that begins further on than the field holds is not told.
  const told = relative === undefined || relative > successorMax ? undefined : relative;
  const files = encodeIndex({ index, successor: told }, context.crc32c);
  const [offsetPath, timePath] = indexPaths(segment);
  await ifWritable(async () => {
    await overwrite(context, offsetPath, files.index);
    await overwrite(context, timePath, files.timeIndex);
  });
}

/** Removes the index files, so that none can be taken for that of a segment which was cut. */
export async function removeIndex(context: LogContext, segment: Segment): Promise<void> {
  for (const path of indexPaths(segment)) {
    context.files.forget(path);
    await context.disk.remove(path);
  }
}

/**
 * The base offset of the segment that follows this one, if its index was written when that was settled and proves that it
 * belongs to all of the segment. Undefined where nobody knows.
 */
export async function readSuccessor(context: LogContext, segment: Segment): Promise<Offset | undefined> {
  const bytes = await readBeginning(context, indexPaths(segment)[0], indexHeaderBytes);
  const header = bytes === undefined ? undefined : readIndexHeader(bytes, context.crc32c);
  if (header?.successor === undefined || header.covered.bytes !== segment.size) return undefined;
  if (!(await provesItself(context, segment, header))) return undefined;
  return (segment.baseOffset + BigInt(header.successor)) as Offset;
}

/** Without room, without leave, or with a directory in its place, there is no index. */
async function ifWritable(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const isInTheWay = error instanceof DiskError && (error.code === "DENIED" || error.code === "NOT_FOUND");
    if (!isInTheWay && !isSpaceError(error)) throw error;
  }
}

async function overwrite(context: LogContext, path: string | undefined, bytes: Uint8Array): Promise<void> {
  if (path === undefined) return;
  let file;
  try {
    file = await context.disk.create(path);
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== "EXISTS") throw error;
    file = await context.disk.open(path);
  }
  try {
    await file.truncate(bytes.length);
    await file.write(0, [bytes]);
  } finally {
    await file.close();
  }
}

/** The first `length` bytes, or all; undefined where there is no such file, or none that can be read. */
async function readBeginning(
  context: LogContext,
  path: string | undefined,
  length?: number,
): Promise<Uint8Array | undefined> {
  if (path === undefined) return undefined;
  return ifReadable(async () => {
    const file = await context.disk.open(path, { readOnly: true });
    try {
      return await file.read(0, length ?? (await file.size()));
    } finally {
      await file.close();
    }
  });
}

async function provesItself(
  context: LogContext,
  segment: Segment,
  index: Pick<SegmentIndex, "covered">,
): Promise<boolean> {
  const { lastBatch, bytes, nextOffset } = index.covered;
  if (lastBatch === undefined) return bytes === 0;
  const { file, release } = await context.files.acquire(segment.path);
  try {
    const range = { from: lastBatch.position, length: batchHeaderBytes, offset: segment.baseOffset };
    const found = readBatchHeader(await readOrDamage(file, segment, range));
    const header = found.kind === "malformed" ? undefined : found.header;
    return (
      header !== undefined &&
      header.crc === lastBatch.crc &&
      lastBatch.position + header.sizeInBytes === bytes &&
      nextOffsetOf(header) === nextOffset
    );
  } finally {
    release();
  }
}
