/**
 * | code          | cause                                                         | what follows                  |
 * |---------------|---------------------------------------------------------------|-------------------------------|
 * | OTHER_CLUSTER | the directory belongs to another cluster                      | the process refuses to start  |
 * | OTHER_NODE    | the directory belongs to another node                         | the process refuses to start  |
 * | NEWER_FORMAT  | a later version wrote it                                      | the process refuses to start  |
 * | LOCKED        | another process has it                                        | the process refuses to start  |
 * | UNAVAILABLE   | missing, read-only, damaged, or the device fails              | only this directory is offline|
 */
export type DirectoryErrorCode = "OTHER_CLUSTER" | "OTHER_NODE" | "NEWER_FORMAT" | "LOCKED" | "UNAVAILABLE";

export class DirectoryError extends Error {
  readonly code: DirectoryErrorCode;
  readonly path: string;

  constructor(code: DirectoryErrorCode, path: string, message: string, options?: ErrorOptions) {
    super(`${path}: ${message}`, options);
    this.name = "DirectoryError";
    this.code = code;
    this.path = path;
  }
}
