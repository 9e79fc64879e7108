import { type Revision, revision as toRevision } from "@tidemark/ids";
import type { CommittedBatch, StoreChange, StoredValue } from "../store/store-link.ts";
import { createByteReader, MalformedBytesError } from "./byte-reader.ts";
import { type ByteWriter, createByteWriter } from "./byte-writer.ts";
import { changeKinds, entryFlags } from "./layout.ts";

/** Entries of a snapshot that go into one frame, in bytes: a part is closed when it is larger. */
const snapshotPartBytes = 256 * 1024;

export interface SnapshotEnd {
  readonly revision: Revision;
  /** Of all parts, as a check. */
  readonly entries: number;
}

export function encodeBatches(batches: readonly CommittedBatch[]): Uint8Array<ArrayBuffer> {
  const writer = createByteWriter();
  for (const { revision, changes } of batches) {
    writer.u64(revision);
    writer.u16(changes.length);
    for (const change of changes) writeChange(writer, change);
  }
  return writer.written();
}

/** Throws MalformedBytesError, as the other decoders do. */
export function decodeBatches(payload: Uint8Array): readonly CommittedBatch[] {
  const reader = createByteReader(payload);
  const batches: CommittedBatch[] = [];
  while (!reader.atEnd()) {
    const revision = toRevision(reader.u64());
    const changes = Array.from({ length: reader.u16() }, (): StoreChange => {
      const kind = reader.u8();
      const key = reader.key();
      if (kind === changeKinds.delete) return { kind: "delete", key };
      if (kind === changeKinds.put) return { kind: "put", key, value: reader.value() };
      if (kind === changeKinds.ephemeralPut) return { kind: "put", key, value: reader.value(), ephemeral: true };
      throw new MalformedBytesError(`a change has the unknown kind ${kind}`);
    });
    batches.push({ revision, changes });
  }
  return batches;
}

/** The payloads of a snapshot's parts, each made when it is asked for. */
export function* encodeSnapshotParts(
  entries: ReadonlyMap<string, StoredValue>,
): Generator<Uint8Array<ArrayBuffer>, void, undefined> {
  let writer = createByteWriter();
  for (const [key, { value, held }] of entries) {
    writer.u8(held ? entryFlags.ephemeral : 0);
    writer.key(key);
    writer.value(value);
    if (writer.length() < snapshotPartBytes) continue;
    yield writer.written();
    writer = createByteWriter();
  }
  if (writer.length() > 0) yield writer.written();
}

export function decodeSnapshotPart(payload: Uint8Array, into: Map<string, StoredValue>): void {
  const reader = createByteReader(payload);
  while (!reader.atEnd()) {
    const flags = reader.u8();
    if (flags !== 0 && flags !== entryFlags.ephemeral) throw new MalformedBytesError(`an entry has the flags ${flags}`);
    into.set(reader.key(), { value: reader.value(), held: flags === entryFlags.ephemeral });
  }
}

export function encodeSnapshotEnd(end: SnapshotEnd): Uint8Array<ArrayBuffer> {
  const writer = createByteWriter(16);
  writer.u64(end.revision);
  writer.u64(BigInt(end.entries));
  return writer.written();
}

export function decodeSnapshotEnd(payload: Uint8Array): SnapshotEnd {
  const reader = createByteReader(payload);
  return { revision: toRevision(reader.u64()), entries: Number(reader.u64()) };
}

function writeChange(writer: ByteWriter, change: StoreChange): void {
  if (change.kind === "delete") {
    writer.u8(changeKinds.delete);
    writer.key(change.key);
    return;
  }
  writer.u8(change.ephemeral ? changeKinds.ephemeralPut : changeKinds.put);
  writer.key(change.key);
  writer.value(change.value);
}
