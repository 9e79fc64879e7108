import { type BrokerEpoch, directoryId } from "@tidemark/ids";
import { type Random, randomUuid } from "@tidemark/runtime";
import { createAside } from "../aside.ts";
import { type LogContext, syncEntries } from "../context.ts";
import { join } from "../names.ts";
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
  // It is written before anything else: where there is anything else it was lost, and nobody knows whose directory this is.
  const isUsed = (await context.disk.list(path)).some(
    ({ name }) => name === replicaListName || parseReplicaName(name) !== undefined,
  );
  if (isUsed) {
    const message = `has replicas, and ${metaFileName} is gone; put it back, or empty the directory`;
    throw new DirectoryError("UNAVAILABLE", path, message);
  }
  const meta = { ...owner, directoryId: directoryId(randomUuid(random)) };
  await createAside(context, path, metaFileName, encodeMeta(meta));
  return meta;
}

/** Reads and removes the stop file; that it is gone is durable before anything is appended (L10). */
export async function takeStopFile(context: LogContext, path: string): Promise<BrokerEpoch | undefined> {
  const bytes = await readSmallFile(context, path, stopFileName);
  if (bytes === undefined) return undefined;
  await context.disk.remove(join(path, stopFileName));
  await syncEntries(context, path);
  return parseStop(bytes, context.crc32c);
}

export async function writeStopFile(context: LogContext, path: string, epoch: BrokerEpoch): Promise<void> {
  await createAside(context, path, stopFileName, encodeStop(epoch, context.crc32c));
}
