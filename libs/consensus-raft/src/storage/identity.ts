import { join } from "node:path/posix";
import { type Disk, readTextFile } from "@tidemark/disk";
import { type DirectoryId, directoryId } from "@tidemark/ids";
import { RaftOpenError } from "./errors.ts";
import { fileNames, formatVersion } from "./layout.ts";

/** Whose a directory is. */
export interface DirectoryIdentity {
  readonly directoryId: DirectoryId;
  /** Undefined: a member to be, which no leader has spoken to yet. */
  readonly clusterId: string | undefined;
  /** Why no node may start from it any more. Absent: one may. */
  readonly damage?: string;
}

/** Undefined where there is none. Throws RaftOpenError for one that does not parse, and DAMAGED for a condemned one. */
export async function readIdentity(disk: Disk, directory: string): Promise<DirectoryIdentity | undefined> {
  const path = join(directory, fileNames.identity);
  const text = await readTextFile(disk, path);
  if (text === undefined) return undefined;
  const pairs = text.split("\n").flatMap((line) => /^([a-z.]+)=(.*)$/.exec(line)?.slice(1, 3) ?? []);
  const values = new Map(pairs.flatMap((name, at) => (at % 2 === 0 ? [[name, pairs[at + 1] ?? ""] as const] : [])));
  const version = Number(values.get("version"));
  if (version > formatVersion) {
    const message = `format version ${version} is newer than ${formatVersion}, the newest known here`;
    throw new RaftOpenError("FORMAT_TOO_NEW", path, message);
  }
  const damage = values.get("damage");
  if (damage !== undefined) throw new RaftOpenError("DAMAGED", directory, damage);
  try {
    if (version !== formatVersion) throw new RangeError(text);
    return { directoryId: directoryId(values.get("directory.id") ?? ""), clusterId: values.get("cluster.id") };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RaftOpenError("MALFORMED", path, "this does not say whose the directory is: restore it", {
      cause: error,
    });
  }
}

/** Written aside and renamed, durably: at any moment the file is the old one or the new one, whole. */
export async function writeIdentity(disk: Disk, directory: string, identity: DirectoryIdentity): Promise<void> {
  const path = join(directory, fileNames.identity);
  const lines = [`version=${formatVersion}`, `directory.id=${identity.directoryId}`];
  if (identity.clusterId !== undefined) lines.push(`cluster.id=${identity.clusterId}`);
  if (identity.damage !== undefined) lines.push(`damage=${identity.damage}`);
  await disk.remove(`${path}.new`);
  const file = await disk.create(`${path}.new`);
  try {
    await file.write(0, [new TextEncoder().encode(`${lines.join("\n")}\n`)]);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(`${path}.new`, path);
  await disk.syncDirectory(directory);
}
