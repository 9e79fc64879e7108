/**
 * The disk as a log needs it. Every path is absolute. Nothing is durable before it was synced: the bytes of a file by
 * `DiskFile.sync`, the entries of a directory (creation, rename, removal) by `Disk.syncDirectory`.
 *
 * Errors are `DiskError`s. An operation that failed may have happened in part; a failed sync says nothing about
 * what is on disk, and a later sync that succeeds does not mend it.
 */
export interface Disk {
  /**
   * Opens an existing file, for reading and writing unless `readOnly`. Fails with NOT_FOUND, for a directory too, which
   * only the first read may find out where it is opened for reading.
   */
  open(path: string, options?: { readonly readOnly?: boolean }): Promise<DiskFile>;
  /** Makes a new empty file, for reading and writing. Fails with EXISTS where there is one. */
  create(path: string): Promise<DiskFile>;
  /** Makes the directory and those above it. One that exists is fine. */
  makeDirectory(path: string): Promise<void>;
  /** Entries of a directory in the order of their names. Fails with NOT_FOUND. */
  list(path: string): Promise<readonly DirectoryEntry[]>;
  /**
   * Renames a file or directory, in place of a file of that name, or a directory in place of an empty one. Fails with
   * NOT_FOUND, and with EXISTS where the name belongs to a directory that is not empty, or to something of the other kind.
   */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file, or a directory with all that is in it. One that does not exist is fine. */
  remove(path: string): Promise<void>;
  /** Makes creations, renames and removals in this directory durable. */
  syncDirectory(path: string): Promise<void>;
  /**
   * Takes the directory for this process alone. The kernel holds the lock while the process lives, also while it is
   * stopped, and frees it when it dies, however it dies. Fails with LOCKED where another holder has it.
   */
  lock(directory: string): Promise<DiskLock>;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly kind: "file" | "directory";
}

export interface DiskLock {
  release(): Promise<void>;
}

export interface DiskFile {
  /** Size in bytes. */
  size(): Promise<number>;
  /**
   * The bytes from `position` on, at most `length` of them: fewer at the end of the file, none behind it. They may be
   * put into `into`, which has room for `length`, and be a slice of it: for whoever reads a lot and keeps nothing.
   */
  read(position: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  /** Writes all chunks one behind the other from `position` on. A short write is continued, never reported as done. */
  write(position: number, chunks: readonly Uint8Array[]): Promise<void>;
  /** Cuts or extends (with zeros) to `size` bytes. */
  truncate(size: number): Promise<void>;
  /** Returns when every byte written before the call is on stable storage (fdatasync). */
  sync(): Promise<void>;
  /** Waits for the operations under way. Every later call fails with CLOSED. */
  close(): Promise<void>;
}

/**
 * | code         | cause                                                                     |
 * |--------------|---------------------------------------------------------------------------|
 * | NOT_FOUND    | no file or directory of that name                                         |
 * | EXISTS       | there is one already                                                      |
 * | NO_SPACE     | the disk or the quota is full                                             |
 * | LOCKED       | another holder has the directory                                          |
 * | DENIED       | no permission, or a read-only file system                                 |
 * | CLOSED       | the file was closed                                                       |
 * | NO_HANDLES   | the process or the system has no file handle left; nothing happened       |
 * | HUNG         | the operation took longer than the watchdog allows; it may still happen   |
 * | IO           | the device failed                                                         |
 */
export type DiskErrorCode =
  | "NOT_FOUND"
  | "EXISTS"
  | "NO_SPACE"
  | "LOCKED"
  | "DENIED"
  | "CLOSED"
  | "NO_HANDLES"
  | "HUNG"
  | "IO";

export class DiskError extends Error {
  readonly code: DiskErrorCode;
  readonly operation: string;
  readonly path: string;

  constructor(code: DiskErrorCode, operation: string, path: string, options?: ErrorOptions) {
    super(`${code}: ${operation} ${path}`, options);
    this.name = "DiskError";
    this.code = code;
    this.operation = operation;
    this.path = path;
  }
}
