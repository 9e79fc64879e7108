import { DiskError } from "@tidemark/disk";

/** The disk is full, or no file handle is left: it passes, and nothing is lost by it. */
export function isSpaceError(error: unknown): error is DiskError {
  return error instanceof DiskError && (error.code === "NO_SPACE" || error.code === "NO_HANDLES");
}

/** For what only saves work later on: a full disk must not end anything for want of it. */
export async function ifThereIsSpace(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isSpaceError(error)) throw error;
  }
}
