/**
 * Making directories. Formatting is the only way to make a cluster and its first voters; a directory that was not
 * formatted belongs to a member to be, which has no vote until a leader of a cluster adds it.
 */
import { join } from "node:path/posix";
import { type Disk, makeDurableDirectory } from "@tidemark/disk";
import { revision } from "@tidemark/ids";
import { blankStart, formattedStart, type Member, type StartState } from "@tidemark/raft";
import type { Crc32c } from "@tidemark/record";
import { encodeContent } from "../replica/snapshot-codec.ts";
import { RaftOpenError } from "./errors.ts";
import { createHardState } from "./hard-state.ts";
import { type DirectoryIdentity, readIdentity, writeIdentity } from "./identity.ts";
import { fileNames, isOwnFile } from "./layout.ts";
import { openSnapshots } from "./snapshot-files.ts";

interface DirectoryOptions {
  readonly disk: Disk;
  /** Absolute. */
  readonly directory: string;
  readonly crc32c: Crc32c;
  readonly identity: DirectoryIdentity;
}

export interface FormatOptions extends DirectoryOptions {
  /** The cluster is made with it. The directory itself is made where there is none. */
  readonly identity: DirectoryIdentity & { readonly clusterId: string };
  /** The same for each of them, itself included. */
  readonly voters: readonly Member[];
  /** What the store holds from the start: the same for each voter. Absent: nothing. */
  readonly entries?: ReadonlyMap<string, Uint8Array>;
}

/**
 * Writes what a first voter starts from. Done again after it was interrupted, it ends it. Throws RaftOpenError FORMATTED
 * where there is something to lose, FOREIGN where it is none of the voters, and StartError where the voters are no cluster.
 */
export async function formatDirectory(options: FormatOptions): Promise<void> {
  const { disk, directory, identity, voters } = options;
  const start = formattedStart(voters);
  if (!voters.some(({ id }) => id === identity.directoryId)) {
    const message = `the directory ${identity.directoryId} is none of the first voters`;
    throw new RaftOpenError("FOREIGN", directory, message);
  }
  await makeDurableDirectory(disk, directory);
  const lock = await disk.lock(directory);
  try {
    if ((await readIdentity(disk, directory)) !== undefined) {
      throw new RaftOpenError(
        "FORMATTED",
        directory,
        "there is a member's log and vote in it: they are not overwritten",
      );
    }
    await makeDirectory(options, start, stateOf(options));
  } finally {
    await lock.release();
  }
}

/** A directory of a member to be. Done again after it was interrupted, it ends it. */
export async function makeBlankDirectory(options: DirectoryOptions): Promise<void> {
  const names = (await options.disk.list(options.directory)).map(({ name }) => name);
  const foreign = names.filter((name) => isOwnFile(name) && name !== fileNames.hardState && !name.endsWith(".new"));
  if (foreign.length > 0) {
    const message = `there is ${foreign.join(", ")} and no identity: its formatting was interrupted, or the identity is lost. Format it again, or take an empty directory`;
    throw new RaftOpenError("MALFORMED", options.directory, message);
  }
  await makeDirectory(options, blankStart, new Uint8Array());
}

/** The same bytes at every voter: they start from one snapshot. */
function stateOf({ entries, crc32c }: FormatOptions): Uint8Array {
  if (entries === undefined) return new Uint8Array();
  const sorted = [...entries].sort(([left], [right]) => (left < right ? -1 : 1));
  const owned = sorted.map(([key, value]) => [key, { value, session: undefined }] as const);
  return encodeContent({ revision: revision(1n), entries: new Map(owned), sessions: new Map() }, crc32c);
}

/** Where the quorum's member keeps its own, in the directory of a controller. */
export function memberDirectory(controllerDirectory: string): string {
  return join(controllerDirectory, "raft");
}

/** The identity comes last: it says that the rest is there. */
async function makeDirectory(options: DirectoryOptions, start: StartState, state: Uint8Array): Promise<void> {
  const { disk, directory, identity } = options;
  for (const { name } of await disk.list(directory)) if (isOwnFile(name)) await disk.remove(join(directory, name));
  if (start.snapshot.index > 0) {
    const { files } = await openSnapshots(options);
    await files.save({ meta: { ...start.snapshot, sizeBytes: state.length }, state });
    await files.close();
  }
  await createHardState(options, start.hardState);
  await disk.syncDirectory(directory);
  await writeIdentity(disk, directory, identity);
}
