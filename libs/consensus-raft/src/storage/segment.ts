import { join } from "node:path/posix";
import type { Disk, DiskFile } from "@tidemark/disk";
import { type LogIndex, logIndex } from "@tidemark/raft";
import type { Crc32c } from "@tidemark/record";
import type { Runtime } from "@tidemark/runtime";
import { decodeRecord, encodeRecord } from "./checked-record.ts";
import type { FrameCodec } from "./frames.ts";
import { fileNames, magics, saltBytes, segmentHeaderBytes } from "./layout.ts";

/** A file of the log, open. */
export interface Segment {
  readonly path: string;
  readonly file: DiskFile;
  readonly first: LogIndex;
  readonly codec: FrameCodec;
  /** Where each entry's frame stands, from `first` on. */
  readonly positions: number[];
  /** Where the next frame goes. */
  end: number;
}

export interface SegmentOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly crc32c: Crc32c;
  readonly runtime: Runtime;
}

/** Makes an empty segment, durably with its name, so that no entry ever stands behind a header that is not. */
export async function createSegment(options: SegmentOptions, first: LogIndex): Promise<Segment> {
  const { disk, directory, crc32c, runtime } = options;
  const path = join(directory, fileNames.segment(first));
  await disk.remove(path);
  const salt = runtime.random.bytes(saltBytes);
  const file = await disk.create(path);
  const header = encodeRecord(
    magics.segment,
    (writer) => {
      writer.raw(salt);
      writer.u64(BigInt(first));
    },
    crc32c,
  );
  await file.write(0, [header]);
  await file.sync();
  await disk.syncDirectory(directory);
  return { path, file, first, codec: { salt, crc32c }, positions: [], end: segmentHeaderBytes };
}

/** Undefined where the header is not whole. Throws RaftOpenError FORMAT_TOO_NEW. */
export function decodeSegmentHeader(
  bytes: Uint8Array,
  path: string,
  crc32c: Crc32c,
): { readonly salt: Uint8Array; readonly first: LogIndex } | undefined {
  const decoded = decodeRecord(magics.segment, bytes.subarray(0, segmentHeaderBytes), {
    path,
    crc32c,
    read: (reader) => ({ salt: reader.raw(saltBytes), first: logIndex(Number(reader.u64())) }),
  });
  return decoded?.value;
}

/** Index of the last entry; one before `first` when there is none. */
export function lastOf({ first, positions }: Segment): number {
  return first + positions.length - 1;
}
