import { DiskError, type DiskErrorCode } from "../disk.ts";

const codes: Readonly<Record<string, DiskErrorCode>> = {
  ENOENT: "NOT_FOUND",
  ENOTDIR: "NOT_FOUND",
  EISDIR: "NOT_FOUND",
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

/** A rename whose target is of the other kind: there is something of that name already. */
const renameCodes: Readonly<Record<string, DiskErrorCode>> = { ENOTDIR: "EXISTS", EISDIR: "EXISTS" };

/** The system's error as a `DiskError`, with the original as its cause. What the tables do not name is IO. */
export function toDiskError(error: unknown, operation: string, path: string): DiskError {
  if (error instanceof DiskError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const renamed = operation === "rename" ? renameCodes[code] : undefined;
  return new DiskError(renamed ?? codes[code] ?? "IO", operation, path, { cause: error });
}
