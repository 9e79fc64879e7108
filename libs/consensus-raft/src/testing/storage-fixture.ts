/** What the tests of storage have in common. */
import { crc32c } from "@tidemark/compression";
import type { Disk } from "@tidemark/disk";
import { directoryId } from "@tidemark/ids";
import {
  type Entry,
  type HardState,
  logIndex,
  type Member,
  type SnapshotChunk,
  type SnapshotMeta,
  term,
  type Write,
} from "@tidemark/raft";
import { createNodeRuntime } from "@tidemark/runtime";
import { formatDirectory } from "../storage/format.ts";
import { openStorage } from "../storage/open-storage.ts";
import type { StorageGuards } from "../storage/storage.ts";

export const directory = "/data/raft";
export const clusterId = "cluster-a";
export const ids = [1, 2, 3].map((n) => directoryId(`00000000-0000-4000-8000-00000000000${n}`));
export const voters: readonly Member[] = ids.map((id, at) => ({
  id,
  address: `${at + 1}@controller-${at + 1}.test:4651`,
}));
const [self] = ids;
export const ownId = self ?? directoryId("");
export const runtime = createNodeRuntime();

export function format(disk: Disk): Promise<void> {
  return formatDirectory({ disk, directory, crc32c, identity: { directoryId: ownId, clusterId }, voters });
}

export function open(disk: Disk, options: { readonly segmentBytes?: number; readonly guards?: StorageGuards } = {}) {
  return openStorage({ disk, directory, crc32c, runtime, directoryId: ownId, clusterId, ...options });
}

export function batch(index: number, ofTerm: number, bytes = 60): Entry {
  return { kind: "batch", index: logIndex(index), term: term(ofTerm), data: new Uint8Array(bytes).fill(index) };
}

export function batches(from: number, to: number, ofTerm: number): readonly Entry[] {
  return Array.from({ length: to - from + 1 }, (_, at) => batch(from + at, ofTerm));
}

export function hardState(ofTerm: number, vote?: number): HardState {
  return { term: term(ofTerm), votedFor: vote === undefined ? undefined : ids[vote - 1] };
}

export function snapshotMeta(index: number, ofTerm: number, sizeBytes: number): SnapshotMeta {
  return { index: logIndex(index), term: term(ofTerm), membership: { voters, learners: [] }, sizeBytes };
}

export function chunk(snapshot: SnapshotMeta, offset: number, length: number): SnapshotChunk {
  const data = new Uint8Array(length).fill(snapshot.index);
  return { kind: "snapshotChunk", from: ownId, to: ownId, term: snapshot.term, toVoter: true, snapshot, offset, data };
}

let writes = 0;

/** A write of these parts, to be flushed. */
export function write(parts: Partial<Omit<Write, "token">>): Write {
  writes += 1;
  const last = parts.entries?.at(-1);
  return {
    token: { write: writes, last: { index: last?.index ?? logIndex(0), term: last?.term ?? term(0) } },
    hardState: undefined,
    snapshotChunks: [],
    entries: [],
    compactThrough: undefined,
    mustFlush: true,
    ...parts,
  };
}
