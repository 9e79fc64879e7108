/**
 * Reads the file of a store from its beginning.
 *
 * | found                                                            | then                                         |
 * |------------------------------------------------------------------|----------------------------------------------|
 * | an invalid frame in the snapshot                                 | DAMAGED: the snapshot was flushed as a whole |
 * | an invalid frame below what a later valid one says was flushed   | DAMAGED: committed batches are in it         |
 * | any other invalid frame                                          | a torn tail, to be cut off there             |
 * | a valid frame that does not decode, or does not follow           | MALFORMED: nothing of ours wrote it          |
 */
import type { DiskFile } from "@tidemark/disk";
import { type Revision, revision as toRevision } from "@tidemark/ids";
import type { Crc32c } from "@tidemark/record";
import type { StoredValue } from "../store/store-link.ts";
import { createTree, type StoreContent, type Tree } from "../store/tree.ts";
import { MalformedBytesError } from "./byte-reader.ts";
import { StoreOpenError } from "./errors.ts";
import { createFileWindow } from "./file-window.ts";
import { decodeHeader, type Frame, type FrameCodec, type ReadAt, readFrame } from "./frames.ts";
import { formatVersion, frameHeaderBytes, headerBytes } from "./layout.ts";
import { decodeBatches, decodeSnapshotEnd, decodeSnapshotPart } from "./payloads.ts";

export interface Recovered {
  readonly content: StoreContent;
  readonly salt: Uint8Array;
  /** Where the snapshot ends. */
  readonly snapshotBytes: number;
  /** Below it everything was flushed, as the last frame says. */
  readonly flushed: number;
  /** Where the next frame goes. */
  readonly end: number;
  /** Size of the file. Above `end`: a torn tail. */
  readonly size: number;
}

interface Source {
  readonly path: string;
  readonly file: DiskFile;
  readonly readAt: ReadAt;
  readonly codec: FrameCodec;
  readonly size: number;
}

/** Throws StoreOpenError, or what the disk throws. Changes nothing. */
export async function recover(file: DiskFile, path: string, crc32c: Crc32c): Promise<Recovered> {
  const readAt = createFileWindow(file);
  const header = decodeHeader(await readAt(0, headerBytes), crc32c);
  if (header.kind === "malformed") throw new StoreOpenError("MALFORMED", path, "this is not the file of a store");
  if (header.kind === "newer") {
    const message = `format version ${header.version} is newer than ${formatVersion}, the newest known here`;
    throw new StoreOpenError("FORMAT_TOO_NEW", path, message);
  }
  const codec = { salt: header.salt, crc32c };
  const source: Source = { path, file, readAt, codec, size: await file.size() };
  try {
    const snapshot = await readSnapshot(source);
    const tree = createTree<"anyone">(snapshot.content, "anyone");
    const { flushed, end } = await readBatches(source, snapshot.end, tree);
    const content = { revision: tree.revision(), entries: tree.entries() };
    return { content, salt: header.salt, snapshotBytes: snapshot.end, flushed, end, size: source.size };
  } catch (error) {
    if (!(error instanceof MalformedBytesError)) throw error;
    throw new StoreOpenError("MALFORMED", path, error.message, { cause: error });
  }
}

async function readSnapshot(source: Source): Promise<{ readonly content: StoreContent; readonly end: number }> {
  const entries = new Map<string, StoredValue>();
  for (let position = headerBytes; ; ) {
    const frame = await readFrame(source.readAt, position, source.codec);
    if (frame === undefined) throw damaged(source, position, "the snapshot does not read back as it was written");
    position = frame.end;
    if (frame.kind === "snapshotPart") {
      decodeSnapshotPart(frame.payload, entries);
    } else if (frame.kind === "snapshotEnd") {
      const end = decodeSnapshotEnd(frame.payload);
      if (end.entries !== entries.size) {
        throw new MalformedBytesError(`the snapshot has ${entries.size} entries instead of ${end.entries}`);
      }
      return { content: { revision: end.revision, entries }, end: position };
    } else {
      throw new MalformedBytesError(`a frame of kind ${frame.kind} stands in the snapshot at ${frame.position}`);
    }
  }
}

/** Applies every batch behind the snapshot, up to the end of the last valid frame. */
async function readBatches(
  source: Source,
  start: number,
  tree: Tree<"anyone">,
): Promise<{ readonly flushed: number; readonly end: number }> {
  let flushed = start;
  let end = start;
  while (end < source.size) {
    const frame = await readFrame(source.readAt, end, source.codec);
    if (frame === undefined) {
      await refuseDamage(source, end);
      break;
    }
    applyFrame(frame, tree);
    ({ flushed, end } = frame);
  }
  return { flushed, end };
}

function applyFrame(frame: Frame, tree: Tree<"anyone">): void {
  if (frame.kind === "mark") return;
  if (frame.kind !== "batches") {
    throw new MalformedBytesError(`a frame of kind ${frame.kind} stands at ${frame.position}`);
  }
  for (const batch of decodeBatches(frame.payload)) {
    const expected: Revision = toRevision(tree.revision() + 1n);
    if (batch.revision !== expected) {
      throw new MalformedBytesError(`revision ${batch.revision} stands at ${frame.position} instead of ${expected}`);
    }
    tree.apply(batch, "anyone");
  }
}

/** Throws DAMAGED where a valid frame behind `invalidAt` says that this position had been flushed. */
async function refuseDamage(source: Source, invalidAt: number): Promise<void> {
  const rest = await source.file.read(invalidAt, source.size - invalidAt);
  const searched = Buffer.from(rest.buffer, rest.byteOffset, rest.byteLength);
  for (let at = searched.indexOf(source.codec.salt, 1); at !== -1; at = searched.indexOf(source.codec.salt, at + 1)) {
    if (searched.length - at < frameHeaderBytes) return;
    const later = await readFrame(source.readAt, invalidAt + at, source.codec);
    if (later === undefined || later.flushed <= invalidAt) continue;
    throw damaged(source, invalidAt, `what is there was flushed before the frame at ${later.position} was written`);
  }
}

function damaged(source: Source, position: number, message: string): StoreOpenError {
  return new StoreOpenError("DAMAGED", source.path, `at byte ${position} of ${source.size}: ${message}`);
}
