import { DiskError } from "@tidemark/disk";

/**
 * The disk is full, or no file handle is left: it passes, and nothing is lost by it. Not where the sync of a directory
 * says that the disk is full: which of its entries are on the disk nobody knows then, and the next sync, though it
 * succeeds, does not bring them there (L6).
 */
export function isSpaceError(error: unknown): error is DiskError {
  if (!(error instanceof DiskError)) return false;
  return error.code === "NO_HANDLES" || (error.code === "NO_SPACE" && error.operation !== "syncDirectory");
}

/** For what only saves work later on: a full disk must not end anything for want of it. */
export async function ifThereIsSpace(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isSpaceError(error)) throw error;
  }
}
