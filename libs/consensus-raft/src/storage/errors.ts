/**
 * | code           | cause                                                                                   |
 * |----------------|-----------------------------------------------------------------------------------------|
 * | LOCKED         | another process has the directory                                                       |
 * | DISK           | the disk failed, or may not be used                                                      |
 * | DAMAGED        | what was flushed does not read back as it was written: nobody may vote on what is left   |
 * | MALFORMED      | a file that nothing of ours wrote, or a directory whose formatting was not finished      |
 * | FORMAT_TOO_NEW | written by a later version                                                              |
 * | FOREIGN        | the directory belongs to another cluster, or is another one than its id says             |
 * | FORMATTED      | the directory is formatted already                                                       |
 */
export type RaftOpenErrorCode =
  | "LOCKED"
  | "DISK"
  | "DAMAGED"
  | "MALFORMED"
  | "FORMAT_TOO_NEW"
  | "FOREIGN"
  | "FORMATTED";

/** Why no node starts from a directory. */
export class RaftOpenError extends Error {
  override readonly name = "RaftOpenError";
  readonly code: RaftOpenErrorCode;
  /** The directory, or a file in it. */
  readonly path: string;

  constructor(code: RaftOpenErrorCode, path: string, message: string, options?: ErrorOptions) {
    super(`${code}: ${path}: ${message}`, options);
    this.code = code;
    this.path = path;
  }
}
