/**
 * Snapshots on disk. One is made whole and flushed under another name, and a rename followed by a flush of the directory
 * is what makes it the node's.
 */
import { join } from "node:path/posix";
import type { Disk, DiskFile } from "@tidemark/disk";
import { logIndex, type SnapshotChunk, type SnapshotMeta, term } from "@tidemark/raft";
import type { Crc32c } from "@tidemark/record";
import { decodeRecord, encodeRecord } from "./checked-record.ts";
import { RaftOpenError } from "./errors.ts";
import { fileNames, magics, snapshotPattern } from "./layout.ts";
import { readMembership, writeMembership } from "./membership-codec.ts";

/** How many are kept: a follower may be in the middle of the one before. */
const keptSnapshots = 2;
/** A header is read whole with the first so many bytes. */
const headerBytesMax = 1024 * 1024;
const writeBytes = 1024 * 1024;

export interface StoredSnapshot {
  readonly meta: SnapshotMeta;
  readonly state: Uint8Array;
}

export interface SnapshotFiles {
  /** Makes a snapshot durable. */
  save(snapshot: StoredSnapshot): Promise<void>;
  /**
   * Adds a piece of a snapshot that comes in; offset 0 begins it anew. With its last piece the snapshot is made durable
   * and returned.
   */
  receive(chunk: SnapshotChunk): Promise<StoredSnapshot | undefined>;
  /** Bytes of the state. Undefined where the snapshot is gone. */
  read(
    meta: SnapshotMeta,
    range: { readonly offset: number; readonly length: number },
  ): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

interface SnapshotOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly crc32c: Crc32c;
}

interface OpenSnapshot {
  readonly meta: SnapshotMeta;
  readonly file: DiskFile;
  /** Where the state begins. */
  readonly start: number;
}

/** One that is being written. */
interface Making extends OpenSnapshot {
  readonly name: string;
  end: number;
}

interface State extends SnapshotOptions {
  /** Oldest first. */
  open: OpenSnapshot[];
  incoming: Making | undefined;
}

/** Opens the newest snapshot. Throws RaftOpenError DAMAGED where it does not read back: the log behind it is gone. */
export async function openSnapshots(
  options: SnapshotOptions,
): Promise<{ readonly files: SnapshotFiles; readonly newest: StoredSnapshot | undefined }> {
  const state: State = { ...options, open: [], incoming: undefined };
  const names = (await options.disk.list(options.directory)).map(({ name }) => name);
  const newest = names.filter((name) => snapshotPattern.test(name)).at(-1);
  if (newest === undefined) return { files: filesOf(state), newest: undefined };
  const opened = await openSnapshot(options, newest);
  state.open.push(opened);
  const found = await opened.file.read(opened.start, opened.meta.sizeBytes);
  if (found.length < opened.meta.sizeBytes) throw damaged(join(options.directory, newest));
  return { files: filesOf(state), newest: { meta: opened.meta, state: found } };
}

function filesOf(state: State): SnapshotFiles {
  return {
    async save({ meta, state: bytes }) {
      const making = await begin(state, meta, `${fileNames.snapshot(meta.index, meta.term)}.new`);
      for (let at = 0; at < bytes.length; at += writeBytes) await add(making, bytes.subarray(at, at + writeBytes));
      await finish(state, making);
    },
    async receive(chunk) {
      if (chunk.offset === 0) {
        await state.incoming?.file.close();
        state.incoming = await begin(state, chunk.snapshot, fileNames.incoming);
      }
      const { incoming } = state;
      if (incoming === undefined) throw new Error("Broken invariant: a piece of a snapshot comes behind its beginning");
      await add(incoming, chunk.data);
      const { meta, start, end, file } = incoming;
      if (end - start < meta.sizeBytes) return undefined;
      const bytes = await file.read(start, meta.sizeBytes);
      state.incoming = undefined;
      await finish(state, incoming);
      return { meta, state: bytes };
    },
    async read(meta, { offset, length }) {
      const found = state.open.find(({ meta: { index, term: at } }) => index === meta.index && at === meta.term);
      return found?.file.read(found.start + offset, length);
    },
    async close() {
      for (const { file } of state.open.splice(0)) await file.close();
      await state.incoming?.file.close();
      state.incoming = undefined;
    },
  };
}

async function begin({ disk, directory, crc32c }: State, meta: SnapshotMeta, name: string): Promise<Making> {
  const path = join(directory, name);
  await disk.remove(path);
  const file = await disk.create(path);
  const header = encodeHeader(meta, crc32c);
  await file.write(0, [header]);
  return { meta, file, name, start: header.length, end: header.length };
}

async function add(making: Making, bytes: Uint8Array): Promise<void> {
  await making.file.write(making.end, [bytes]);
  making.end += bytes.length;
}

async function finish(state: State, { meta, file, name, start }: Making): Promise<void> {
  const { disk, directory } = state;
  await file.sync();
  await disk.rename(join(directory, name), join(directory, fileNames.snapshot(meta.index, meta.term)));
  await disk.syncDirectory(directory);
  state.open = [...state.open, { meta, file, start }].sort((left, right) => left.meta.index - right.meta.index);
  await forgetOld(state);
}

async function forgetOld(state: State): Promise<void> {
  const { disk, directory } = state;
  const old = state.open.slice(0, -keptSnapshots);
  state.open = state.open.slice(-keptSnapshots);
  for (const { meta, file } of old) {
    await file.close();
    await disk.remove(join(directory, fileNames.snapshot(meta.index, meta.term)));
  }
}

async function openSnapshot({ disk, directory, crc32c }: SnapshotOptions, name: string): Promise<OpenSnapshot> {
  const path = join(directory, name);
  const file = await disk.open(path, { readOnly: true });
  try {
    const header = decodeHeader(await file.read(0, headerBytesMax), path, crc32c);
    if (header === undefined) throw damaged(path);
    return { meta: header.value, file, start: header.bytes };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function encodeHeader(meta: SnapshotMeta, crc32c: Crc32c): Uint8Array {
  return encodeRecord(
    magics.snapshot,
    (writer) => {
      writer.u64(BigInt(meta.index));
      writer.u64(BigInt(meta.term));
      writer.u64(BigInt(meta.sizeBytes));
      writeMembership(writer, meta.membership);
    },
    crc32c,
  );
}

function decodeHeader(bytes: Uint8Array, path: string, crc32c: Crc32c) {
  return decodeRecord(magics.snapshot, bytes, {
    path,
    crc32c,
    read: (reader): SnapshotMeta => ({
      index: logIndex(Number(reader.u64())),
      term: term(Number(reader.u64())),
      sizeBytes: Number(reader.u64()),
      membership: readMembership(reader),
    }),
  });
}

function damaged(path: string): RaftOpenError {
  return new RaftOpenError("DAMAGED", path, "the snapshot does not read back as it was written: replace this member");
}
