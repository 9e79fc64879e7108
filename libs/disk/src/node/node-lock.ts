import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { DiskError, type DiskLock } from "../disk.ts";
import { toDiskError } from "./errors.ts";

/** The file that carries the lock. Nothing but the lock may open it: closing any descriptor of it frees the lock. */
const lockFileName = ".lock";

/**
 * SQLite's exclusive lock is an fcntl lock, the one lock that Node can reach which the kernel holds: it lasts while the
 * process is stopped and ends with the process, however that dies. SQLite also keeps two holders in one process apart.
 */
export function lockDirectory(directory: string): DiskLock {
  const path = join(directory, lockFileName);
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: 0 });
    // The journal stays in memory: nothing is ever written, and a journal file beside it would outlive a kill.
    database.exec("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE");
  } catch (error) {
    database?.close();
    throw lockError(error, path);
  }
  const held = database;
  let released = false;
  return {
    release: async () => {
      if (released) return;
      released = true;
      held.close();
    },
  };
}

/** https://sqlite.org/rescode.html: SQLITE_BUSY, SQLITE_READONLY, SQLITE_CANTOPEN. The low byte is the primary code. */
function lockError(error: unknown, path: string): DiskError {
  const primary = error instanceof Error && "errcode" in error ? Number(error.errcode) & 0xff : 0;
  switch (primary) {
    case 5:
      return new DiskError("LOCKED", "lock", path, { cause: error });
    case 8:
    case 14:
      return new DiskError("DENIED", "lock", path, { cause: error });
    default:
      return toDiskError(error, "lock", path);
  }
}
