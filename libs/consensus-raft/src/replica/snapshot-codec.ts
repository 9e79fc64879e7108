/**
 * A replica's content as bytes, the same at every member that has the same.
 *
 *     version u8, revision u64, sessions (count u32: id, node), entries (count u32: key, session or "", value),
 *     crc32c u32 of what stands before
 *
 * No bytes at all are the empty store that formatting makes.
 */
import { createByteReader, createByteWriter, MalformedBytesError } from "@tidemark/consensus/store";
import { directoryId, revision } from "@tidemark/ids";
import type { NodeId } from "@tidemark/raft";
import type { Crc32c } from "@tidemark/record";
import { emptyReplica, type OwnedValue, type ReplicaContent } from "./replica.ts";

const version = 1;

export function encodeContent(content: ReplicaContent, crc32c: Crc32c): Uint8Array {
  const writer = createByteWriter(64 * 1024);
  writer.u8(version);
  writer.u64(content.revision);
  writer.u32(content.sessions.size);
  for (const [session, node] of content.sessions) {
    writer.key(session);
    writer.key(node);
  }
  writer.u32(content.entries.size);
  for (const [key, { value, session }] of content.entries) {
    writer.key(key);
    writer.key(session ?? "");
    writer.value(value);
  }
  writer.u32(crc32c(writer.written()));
  return writer.written();
}

/** What stands before the checksum, once that is right. Throws MalformedBytesError where it is not. */
export function checkedBody(bytes: Uint8Array, crc32c: Crc32c): Uint8Array {
  if (bytes.length === 0) return bytes;
  const body = bytes.subarray(0, bytes.length - 4);
  if (bytes.length < 5 || createByteReader(bytes.subarray(bytes.length - 4)).u32() !== crc32c(body)) {
    throw new MalformedBytesError("a snapshot's state does not read back as it was written");
  }
  return body;
}

/** Throws MalformedBytesError for what is damaged, or of a later version. */
export function decodeContent(bytes: Uint8Array, crc32c: Crc32c): ReplicaContent {
  if (bytes.length === 0) return emptyReplica;
  const reader = createByteReader(checkedBody(bytes, crc32c));
  const found = reader.u8();
  if (found !== version) throw new MalformedBytesError(`a snapshot's state has the version ${found}, not ${version}`);
  const at = revision(reader.u64());
  const sessions = new Map<string, NodeId>();
  for (let left = reader.u32(); left > 0; left--) sessions.set(reader.key(), directoryId(reader.key()));
  const entries = new Map<string, OwnedValue>();
  for (let left = reader.u32(); left > 0; left--) {
    const key = reader.key();
    const session = reader.key();
    entries.set(key, { value: reader.value(), session: session === "" ? undefined : session });
  }
  return { revision: at, entries, sessions };
}
