import { DiskError, readWholeFile } from "@tidemark/disk";
import { type BrokerEpoch, directoryId } from "@tidemark/ids";
import { type Random, randomUuid } from "@tidemark/runtime";
import { createAside } from "../aside.ts";
import { type LogContext, syncEntries } from "../context.ts";
import { join } from "../names.ts";
import { ifReadable } from "../unreadable.ts";
import { DirectoryError } from "./directory-error.ts";
import { checkMeta, type DirectoryOwner, encodeMeta, type MetaProperties, metaFileName } from "./meta-properties.ts";
import { parseReplicaName, replicaListName } from "./replica-list.ts";
import { readSmallFile } from "./small-file.ts";
import { encodeStop, parseStop, stopFileName } from "./stop-file.ts";

/** Reads whose directory this is, or makes it the owner's when it was nobody's. Throws a DirectoryError for another's. */
export async function readMeta(
  context: LogContext,
  path: string,
  { owner, random }: { readonly owner: DirectoryOwner; readonly random: Random },
): Promise<MetaProperties> {
  const bytes = await readSmallFile(context, path, metaFileName);
  if (bytes !== undefined) return checkMeta(bytes, owner, path);
  // It is written before anything is kept here: where there is anything it was lost, and nobody knows whose directory this is.
  const isUsed = (await context.disk.list(path)).some(({ name }) => parseReplicaName(name) !== undefined);
  const listed = isUsed ? undefined : await readSmallFile(context, path, replicaListName);
  if (isUsed || (listed !== undefined && listed.length > 0)) {
    const message = `has replicas, and ${metaFileName} is gone; put it back, or empty the directory`;
    throw new DirectoryError("UNAVAILABLE", path, message);
  }
  // The list first, so that one that is missing later on was lost.
  await createAside(context, path, replicaListName, new Uint8Array(0));
  const meta = { ...owner, directoryId: directoryId(randomUuid(random)) };
  await createAside(context, path, metaFileName, encodeMeta(meta));
  return meta;
}

/**
 * Reads and removes the stop file; that it is gone is durable before anything is appended (L10). One that cannot be read
 * goes as well, and says nothing.
 */
export async function takeStopFile(context: LogContext, path: string): Promise<BrokerEpoch | undefined> {
  const entries = await context.disk.list(path);
  if (!entries.some(({ name, kind }) => name === stopFileName && kind === "file")) return undefined;
  const bytes = await ifReadable(() => readWholeFile(context.disk, join(path, stopFileName)));
  await context.disk.remove(join(path, stopFileName));
  await syncEntries(context, path);
  return bytes === undefined ? undefined : parseStop(bytes, context.crc32c);
}

/** Durable on return. A folder in its place is nobody's to remove: then the stop counts as one that was not clean. */
export async function writeStopFile(context: LogContext, path: string, epoch: BrokerEpoch): Promise<void> {
  try {
    await createAside(context, path, stopFileName, encodeStop(epoch, context.crc32c));
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== "EXISTS") throw error;
  }
}
