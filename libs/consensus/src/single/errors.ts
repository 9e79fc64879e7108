/**
 * | code           | cause                                                            | way out                                        |
 * |----------------|------------------------------------------------------------------|------------------------------------------------|
 * | LOCKED         | another process has the directory                                | stop it                                        |
 * | FORMAT_TOO_NEW | a newer version wrote the file                                   | run that version                               |
 * | MALFORMED      | the file is no store's, or holds what none of our versions wrote | restore it, or move it away to begin anew      |
 * | DAMAGED        | committed batches do not read back as they were written          | restore a backup                               |
 * | DISK           | the disk failed or refused                                       | see the cause                                  |
 */
export type StoreOpenErrorCode = "LOCKED" | "FORMAT_TOO_NEW" | "MALFORMED" | "DAMAGED" | "DISK";

/** Why a store cannot be opened. Nothing on the disk was changed. */
export class StoreOpenError extends Error {
  readonly code: StoreOpenErrorCode;
  /** The file or directory that it is about. */
  readonly path: string;

  constructor(code: StoreOpenErrorCode, path: string, message: string, options?: ErrorOptions) {
    super(`${code}: ${path}: ${message}`, options);
    this.name = "StoreOpenError";
    this.code = code;
    this.path = path;
  }
}
