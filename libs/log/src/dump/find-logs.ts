import { type DirectoryEntry, type Disk, readWholeFile } from "@tidemark/disk";
import type { Crc32c } from "@tidemark/record";
import { metaFileName } from "../directory/meta-properties.ts";
import { parseReplicaList, parseReplicaName, replicaListName } from "../directory/replica-list.ts";
import { join } from "../names.ts";

/**
 * What is to be dumped at `path`: the replicas of a whole log directory, also those that are listed and gone, and of
 * anything else `path` itself. Throws a DiskError when it cannot be read, and an error where it lies above the logs.
 */
export async function logsAt(
  { disk, crc32c }: { readonly disk: Disk; readonly crc32c: Crc32c },
  path: string,
): Promise<readonly string[]> {
  const entries = path.endsWith(".log") ? [] : await disk.list(path);
  if (!entries.some(({ name }) => name === metaFileName)) {
    const holdsOthers = entries.some(({ kind }) => kind === "directory");
    const isLog = path.endsWith(".log") || entries.some(({ name }) => name.endsWith(".log"));
    // A replica's folder has no folders in it: this one lies above what is meant.
    if (holdsOthers && !isLog) throw new Error(`${path} is neither a log directory nor a log: name one below it`);
    return [path];
  }
  const listed = parseReplicaList(await readList(disk, path, entries), crc32c).replicas.keys();
  const there = entries
    .filter(({ name, kind }) => kind === "directory" && parseReplicaName(name) !== undefined)
    .map(({ name }) => name);
  return [...new Set([...there, ...listed])].sort().map((name) => join(path, name));
}

async function readList(disk: Disk, path: string, entries: readonly DirectoryEntry[]): Promise<Uint8Array> {
  if (!entries.some(({ name }) => name === replicaListName)) return new Uint8Array(0);
  return readWholeFile(disk, join(path, replicaListName));
}
