import { join } from "node:path/posix";
import { type Disk, DiskError, type DiskFile } from "@tidemark/disk";
import type { Crc32c } from "@tidemark/record";
import type { Runtime } from "@tidemark/runtime";
import type { StoreContent } from "../store/tree.ts";
import { encodeFrame, encodeHeader, type FrameCodec } from "./frames.ts";
import type { SingleGuards } from "./guards.ts";
import { saltBytes } from "./layout.ts";
import { encodeSnapshotEnd, encodeSnapshotParts } from "./payloads.ts";

export const fileName = "metadata.log";

/** A store's file, open at its end. */
export interface StoreFile {
  readonly file: DiskFile;
  readonly salt: Uint8Array;
  readonly snapshotBytes: number;
  readonly end: number;
}

/**
 * | kind    | meaning                                                                   |
 * |---------|---------------------------------------------------------------------------|
 * | made    | the file is the store's, durably                                          |
 * | givenUp | the old file, or its absence, is what it was                              |
 * | failed  | which of the two files a power cut would leave is not known               |
 */
export type StoreFileOutcome =
  | { readonly kind: "made"; readonly made: StoreFile }
  | { readonly kind: "givenUp" | "failed"; readonly error: DiskError };

export interface StoreFileOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly crc32c: Crc32c;
  readonly runtime: Runtime;
  readonly guards: SingleGuards;
}

/** Writes a file with this content and puts it in the old one's place. */
export async function writeStoreFile(options: StoreFileOptions, content: StoreContent): Promise<StoreFileOutcome> {
  const { disk, directory, guards } = options;
  const path = join(directory, `${fileName}.new`);
  let made: StoreFile;
  try {
    await disk.remove(path);
    made = await fillFile(options, path, content);
  } catch (error) {
    await takeAway(disk, path);
    return { kind: "givenUp", error: diskError(error) };
  }
  try {
    await disk.rename(path, join(directory, fileName));
    if (guards.flushDirectory) await disk.syncDirectory(directory);
  } catch (error) {
    return { kind: "failed", error: diskError(error) };
  }
  return { kind: "made", made };
}

/** A part of a file is of no use, and on a full disk it holds the room that batches need. What cannot be removed stays. */
async function takeAway(disk: Disk, path: string): Promise<void> {
  try {
    await disk.remove(path);
  } catch (error) {
    diskError(error);
  }
}

async function fillFile(options: StoreFileOptions, path: string, content: StoreContent): Promise<StoreFile> {
  const { disk, crc32c, runtime, guards } = options;
  const codec: FrameCodec = { salt: runtime.random.bytes(saltBytes), crc32c };
  const file = await disk.create(path);
  let end = 0;
  const write = async (chunks: readonly Uint8Array[]) => {
    await file.write(end, chunks);
    end += chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  };
  try {
    await write([encodeHeader(codec)]);
    for (const payload of encodeSnapshotParts(content.entries)) {
      await write(encodeFrame({ kind: "snapshotPart", payload, position: end, flushed: 0 }, codec));
    }
    const payload = encodeSnapshotEnd({ revision: content.revision, entries: content.entries.size });
    await write(encodeFrame({ kind: "snapshotEnd", payload, position: end, flushed: 0 }, codec));
    if (guards.flushSnapshot) await file.sync();
    return { file, salt: codec.salt, snapshotBytes: end, end };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function diskError(error: unknown): DiskError {
  if (error instanceof DiskError) return error;
  throw error;
}
