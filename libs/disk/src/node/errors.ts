import { DiskError, type DiskErrorCode } from "../disk.ts";

const codes: Readonly<Record<string, DiskErrorCode>> = {
  ENOENT: "NOT_FOUND",
  ENOTDIR: "NOT_FOUND",
  EEXIST: "EXISTS",
  ENOTEMPTY: "EXISTS",
  ENOSPC: "NO_SPACE",
  EDQUOT: "NO_SPACE",
  EFBIG: "NO_SPACE",
  EACCES: "DENIED",
  EPERM: "DENIED",
  EROFS: "DENIED",
  EMFILE: "NO_HANDLES",
  ENFILE: "NO_HANDLES",
};

/** The system's error as a `DiskError`, with the original as its cause. What the table does not name is IO. */
export function toDiskError(error: unknown, operation: string, path: string): DiskError {
  if (error instanceof DiskError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return new DiskError(codes[code] ?? "IO", operation, path, { cause: error });
}
