/**
 * Term and vote in two slots. A write fills one slot and flushes it, then the other and flushes that: at any moment one
 * of the two is whole, a write that was torn had not been told to anybody, and a slot that rots later has its double.
 */
import { join } from "node:path/posix";
import type { Disk, DiskFile } from "@tidemark/disk";
import { directoryId } from "@tidemark/ids";
import { type HardState, term } from "@tidemark/raft";
import type { Crc32c } from "@tidemark/record";
import { decodeRecord, encodeRecord } from "./checked-record.ts";
import { RaftOpenError } from "./errors.ts";
import { fileNames, magics, slotBytesMax, slotDistanceBytes } from "./layout.ts";

export interface HardStateFile {
  /** What the file held when it was opened. */
  readonly found: HardState;
  /** Resolves when it is on stable storage. One call at a time. */
  write(state: HardState): Promise<void>;
  close(): Promise<void>;
}

interface Slot {
  readonly sequence: bigint;
  readonly state: HardState;
}

interface HardStateOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly crc32c: Crc32c;
  /** Only tests leave the flush out. */
  readonly flush?: boolean;
}

/** Makes the file, durably but for its name. */
export async function createHardState(options: HardStateOptions, state: HardState): Promise<void> {
  const file = await options.disk.create(join(options.directory, fileNames.hardState));
  try {
    await writeSlots(file, { sequence: 1n, state }, options);
  } finally {
    await file.close();
  }
}

/**
 * Opens the file and makes what it says durable: a process that was killed may have left a vote that only the page cache
 * has. Throws RaftOpenError DAMAGED where neither slot is whole: a vote may have been forgotten.
 */
export async function openHardState(options: HardStateOptions): Promise<HardStateFile> {
  const path = join(options.directory, fileNames.hardState);
  const file = await options.disk.open(path);
  try {
    let current = await readNewest(file, path, options.crc32c);
    const write = async (state: HardState) => {
      current = { sequence: current.sequence + 1n, state };
      await writeSlots(file, current, options);
    };
    const found = current.state;
    await write(found);
    return { found, write, close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readNewest(file: DiskFile, path: string, crc32c: Crc32c): Promise<Slot> {
  const slots: Slot[] = [];
  for (const position of [0, slotDistanceBytes]) {
    const slot = decodeSlot(await file.read(position, slotBytesMax), path, crc32c);
    if (slot !== undefined) slots.push(slot);
  }
  const [newest] = slots.sort((left, right) => (left.sequence > right.sequence ? -1 : 1));
  if (newest !== undefined) return newest;
  throw new RaftOpenError(
    "DAMAGED",
    path,
    "neither copy of term and vote is whole, so that a vote may have been forgotten: replace this member by one with an empty directory",
  );
}

async function writeSlots(file: DiskFile, slot: Slot, { crc32c, flush = true }: HardStateOptions): Promise<void> {
  const bytes = encodeSlot(slot, crc32c);
  for (const position of [0, slotDistanceBytes]) {
    await file.write(position, [bytes]);
    if (flush) await file.sync();
  }
}

function encodeSlot({ sequence, state }: Slot, crc32c: Crc32c): Uint8Array {
  const writeSlot = (writer: Parameters<Parameters<typeof encodeRecord>[1]>[0]) => {
    writer.u64(sequence);
    writer.u64(BigInt(state.term));
    writer.key(state.votedFor ?? "");
  };
  return encodeRecord(magics.hardState, writeSlot, crc32c);
}

function decodeSlot(bytes: Uint8Array, path: string, crc32c: Crc32c): Slot | undefined {
  const decoded = decodeRecord(magics.hardState, bytes, {
    path,
    crc32c,
    read(reader) {
      const sequence = reader.u64();
      const ofTerm = term(Number(reader.u64()));
      const vote = reader.key();
      return { sequence, state: { term: ofTerm, votedFor: vote === "" ? undefined : directoryId(vote) } };
    },
  });
  return decoded?.value;
}
