/**
 * `replicas`: which replicas were created in this directory (L10). A replica that is listed and not there is damage.
 *
 * A line for each change, "+ <topic id>-<partition> <crc32c>" or "- ...". A crash may tear the last line, which then
 * does not count: a replica is listed after it was made, and taken from the list before it is removed, so that nothing
 * is ever listed that was never there. A line that does not match its checksum says nothing; the others do.
 */
import { type PartitionIndex, partitionIndex, type TopicId, topicId } from "@tidemark/ids";
import type { Crc32c } from "@tidemark/record";

export const replicaListName = "replicas";

/** One partition of one topic; in a directory there is at most one replica of it. */
export interface ReplicaId {
  readonly topicId: TopicId;
  readonly partition: PartitionIndex;
}

/** The name of the replica's directory, and of the replica in lists. */
export function replicaName({ topicId: topic, partition }: ReplicaId): string {
  return `${topic}-${partition}`;
}

export function parseReplicaName(name: string): ReplicaId | undefined {
  const found = /^([0-9a-f-]{36})-(\d{1,10})$/.exec(name);
  if (found?.[1] === undefined || found[2] === undefined) return undefined;
  try {
    return { topicId: topicId(found[1]), partition: partitionIndex(Number(found[2])) };
  } catch {
    return undefined;
  }
}

export function encodeReplicaLine(sign: "+" | "-", replica: ReplicaId, crc32c: Crc32c): string {
  const fields = `${sign} ${replicaName(replica)}`;
  return `${fields} ${checksum(fields, crc32c)}\n`;
}

/** The replicas listed, and how many lines say nothing, without a last one that has no end. */
export function parseReplicaList(
  bytes: Uint8Array,
  crc32c: Crc32c,
): { readonly replicas: ReadonlyMap<string, ReplicaId>; readonly unreadableLines: number } {
  const replicas = new Map<string, ReplicaId>();
  let unreadableLines = 0;
  // Behind the last line end there is nothing, or a line that was torn.
  for (const line of new TextDecoder().decode(bytes).split("\n").slice(0, -1)) {
    const change = parseLine(line, crc32c);
    if (change === undefined) unreadableLines++;
    else if (change.sign === "+") replicas.set(replicaName(change.replica), change.replica);
    else replicas.delete(replicaName(change.replica));
  }
  return { replicas, unreadableLines };
}

function parseLine(
  line: string,
  crc32c: Crc32c,
): { readonly sign: "+" | "-"; readonly replica: ReplicaId } | undefined {
  const found = /^(([+-]) (\S+)) ([0-9a-f]{8})$/.exec(line);
  if (found?.[1] === undefined || found[3] === undefined || checksum(found[1], crc32c) !== found[4]) return undefined;
  const replica = parseReplicaName(found[3]);
  return replica === undefined ? undefined : { sign: found[2] === "+" ? "+" : "-", replica };
}

function checksum(text: string, crc32c: Crc32c): string {
  return crc32c(new TextEncoder().encode(text)).toString(16).padStart(8, "0");
}
