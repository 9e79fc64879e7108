import { DiskError } from "@tidemark/disk";
import { createAside } from "../aside.ts";
import type { LogContext } from "../context.ts";
import { join } from "../names.ts";
import { unlessMissing } from "../recovery/find-files.ts";
import { encodeReplicaLine, parseReplicaList, type ReplicaId, replicaListName, replicaName } from "./replica-list.ts";

export interface ReplicaList {
  /** By name. */
  readonly replicas: ReadonlyMap<string, ReplicaId>;
  /** The file was gone, which no crash does. */
  readonly wasLost: boolean;
  /** Lines that said nothing any more when the file was read. */
  readonly unreadableLines: number;
  /** Durable on return. */
  add(replica: ReplicaId): Promise<void>;
  /** Durable on return. */
  remove(replica: ReplicaId): Promise<void>;
}

/** A list of which lines could not be read is kept under this name, for people to look at. */
const unreadableName = `${replicaListName}.unreadable`;

/**
 * Reads the list, or begins an empty one where it was lost. Lines that removed replicas are dropped when the file is read, those that say
 * nothing too.
 */
export async function openReplicaList(context: LogContext, directory: string): Promise<ReplicaList> {
  const path = join(directory, replicaListName);
  const bytes = await unlessMissing(async () => {
    const { file, release } = await context.files.acquire(path);
    try {
      return await file.read(0, await file.size());
    } finally {
      release();
    }
  });
  const { replicas: found, unreadableLines } = parseReplicaList(bytes ?? new Uint8Array(0), context.crc32c);
  if (bytes !== undefined && unreadableLines > 0) await createAside(context, directory, unreadableName, bytes);
  const replicas = new Map(found);
  const compact = new TextEncoder().encode(
    [...replicas.values()].map((replica) => encodeReplicaLine("+", replica, context.crc32c)).join(""),
  );
  if (bytes === undefined || bytes.length !== compact.length) {
    await createAside(context, directory, replicaListName, compact);
  }
  let end = compact.length;
  let last: Promise<unknown> = Promise.resolve();

  const append = (sign: "+" | "-", replica: ReplicaId): Promise<void> => {
    const written = last.then(async () => {
      const line = new TextEncoder().encode(encodeReplicaLine(sign, replica, context.crc32c));
      const { file, release } = await context.files.acquire(path);
      try {
        await file.write(end, [line]);
        await file.sync();
      } catch (error) {
        // A failed sync says nothing about what is on disk.
        if (error instanceof DiskError && error.code !== "NO_SPACE") throw context.fail(error, "listing a replica");
        throw error;
      } finally {
        release();
      }
      end += line.length;
    });
    // One line at a time, also after one that failed.
    last = written.catch(() => undefined);
    return written;
  };

  return {
    replicas,
    wasLost: bytes === undefined,
    unreadableLines,
    async add(replica) {
      await append("+", replica);
      replicas.set(replicaName(replica), replica);
    },
    async remove(replica) {
      if (!replicas.has(replicaName(replica))) return;
      await append("-", replica);
      replicas.delete(replicaName(replica));
    },
  };
}
