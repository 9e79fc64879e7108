import { DiskError } from "@tidemark/disk";

/**
 * For what can be made anew or done without, such as an index: undefined where there is no such file, where it may not be
 * read, and where the device does not give it back.
 */
export async function ifReadable<Value>(work: () => Promise<Value>): Promise<Value | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    if (error.code === "NOT_FOUND" || error.code === "DENIED" || error.code === "IO") return undefined;
    throw error;
  }
}
