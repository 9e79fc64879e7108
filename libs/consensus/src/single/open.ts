import { join } from "node:path/posix";
import { type Disk, DiskError, type DiskFile, type DiskLock, makeDurableDirectory } from "@tidemark/disk";
import { revision } from "@tidemark/ids";
import type { Crc32c } from "@tidemark/record";
import type { Runtime } from "@tidemark/runtime";
import { createCandidate } from "../candidate/candidate.ts";
import type { Consensus } from "../consensus.ts";
import type { EventSink } from "../events.ts";
import { createStore, type Store } from "../store/store.ts";
import type { StoreContent } from "../store/tree.ts";
import { StoreOpenError, type StoreOpenErrorCode } from "./errors.ts";
import { createFileJournal, type FileJournalOptions } from "./file-journal.ts";
import { allGuards, type SingleGuards } from "./guards.ts";
import { type Recovered, recover } from "./recovery.ts";
import { fileName, type StoreFile, writeStoreFile } from "./store-file.ts";

export interface SingleStoreOptions {
  readonly disk: Disk;
  /** Absolute, and the store's alone. Made where there is none. */
  readonly directory: string;
  readonly crc32c: Crc32c;
  readonly runtime: Runtime;
  /** Defaults to nobody who listens. */
  readonly onEvent?: EventSink;
  /** The file is compacted when it has as many bytes and three times those of its snapshot. Default 16 MiB. */
  readonly compactionBytesMin?: number;
  /** Defaults to all of them. */
  readonly guards?: SingleGuards;
}

/** A store in one directory of this machine, for as many candidates as run in this process. */
export interface SingleStore {
  /** A handle, not joined yet. */
  candidate(): Consensus;
  /** Replaces the history on the disk by the state that it led to. */
  compact(): Promise<void>;
  /** Frees the directory. Candidates are to be closed before. A second call does nothing. */
  close(): Promise<void>;
}

/** Opens the store, or makes an empty one. Throws StoreOpenError. */
export async function openSingleStore(options: SingleStoreOptions): Promise<SingleStore> {
  const { runtime, onEvent = ignore } = options;
  const store = await openStoreOnDisk(options);
  return {
    candidate: () => createCandidate({ link: store, runtime, onEvent }),
    compact: () => store.compact(),
    close: () => store.close(),
  };
}

/** The same without candidates. */
export async function openStoreOnDisk(options: SingleStoreOptions): Promise<Store> {
  const { disk, directory } = options;
  try {
    await makeDurableDirectory(disk, directory);
    const lock = await disk.lock(directory);
    return await openLocked(options, lock);
  } catch (error) {
    throw error instanceof DiskError ? openError(error, directory) : error;
  }
}

async function openLocked(options: SingleStoreOptions, lock: DiskLock): Promise<Store> {
  const { disk, directory, crc32c, runtime } = options;
  const { onEvent = ignore, guards = allGuards, compactionBytesMin = 16 * 1024 * 1024 } = options;
  const journalOptions = { disk, directory, crc32c, runtime, onEvent, guards, compactionBytesMin };
  try {
    const opened = (await openExisting(journalOptions)) ?? (await makeNew(journalOptions));
    const { revision, entries } = opened.content;
    onEvent({ kind: "recovered", revision, entries: entries.size, bytes: opened.end });
    const journal = createFileJournal(journalOptions, opened);
    const store = createStore({ journal, clock: runtime.clock, onEvent, content: opened.content });
    return {
      ...store,
      async close() {
        await store.close();
        await lock.release();
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

type Opened = StoreFile & { readonly content: StoreContent };

async function makeNew(options: FileJournalOptions): Promise<Opened> {
  const content: StoreContent = { revision: revision(0n), entries: new Map() };
  const outcome = await writeStoreFile(options, content);
  if (outcome.kind !== "made") throw outcome.error;
  return { ...outcome.made, content };
}

/** Undefined where there is no file yet. */
async function openExisting(options: FileJournalOptions): Promise<Opened | undefined> {
  const path = join(options.directory, fileName);
  const file = await options.disk.open(path).catch((error: unknown) => {
    if (error instanceof DiskError && error.code === "NOT_FOUND") return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    const recovered = await recover(file, path, options.crc32c);
    if (recovered.end < recovered.size) await cutTail(file, recovered, options);
    if (options.guards.flushWhenOpened) await flushAgain(file, recovered, options);
    return { ...recovered, file };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Makes what was read durable before anyone is told of it: a process that was killed, or whose flush failed, may have
 * left batches that only the page cache has. After a flush that failed such pages count as clean, so that they are
 * written anew and not only flushed.
 */
async function flushAgain(file: DiskFile, { flushed, end }: Recovered, options: FileJournalOptions): Promise<void> {
  await file.write(flushed, [await file.read(flushed, end - flushed)]);
  await file.sync();
  await options.disk.syncDirectory(options.directory);
}

/** Keeps the bytes behind the last whole frame aside, those of the last time only, and cuts them off. */
async function cutTail(file: DiskFile, { end, size }: Recovered, options: FileJournalOptions): Promise<void> {
  const keptAs = await keepTail(await file.read(end, size - end), options);
  await file.truncate(end);
  await file.sync();
  options.onEvent({ kind: "tailCut", position: end, bytes: size - end, keptAs });
}

/** Undefined where the disk has no room for it: nobody needs it but who looks for the cause. */
async function keepTail(tail: Uint8Array, { disk, directory }: FileJournalOptions): Promise<string | undefined> {
  const path = join(directory, `${fileName}.torn`);
  try {
    await disk.remove(path);
    const aside = await disk.create(path);
    await aside.write(0, [tail]);
    await aside.close();
    return path;
  } catch (error) {
    if (error instanceof DiskError && error.code === "NO_SPACE") return undefined;
    throw error;
  }
}

function openError(error: DiskError, directory: string): StoreOpenError {
  const code: StoreOpenErrorCode = error.code === "LOCKED" ? "LOCKED" : "DISK";
  const message = code === "LOCKED" ? "another process has this directory" : error.message;
  return new StoreOpenError(code, directory, message, { cause: error });
}

function ignore(): void {}
