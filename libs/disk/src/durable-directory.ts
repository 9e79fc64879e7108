import { dirname } from "node:path/posix";
import { type Disk, DiskError } from "./disk.ts";

/** Makes the directory so that it survives a power cut, with every directory above it. */
export async function makeDurableDirectory(disk: Disk, directory: string): Promise<void> {
  await disk.makeDirectory(directory);
  for (let path = directory; path !== dirname(path); path = dirname(path)) {
    try {
      await disk.syncDirectory(dirname(path));
    } catch (error) {
      // A directory that may not be read was not made here.
      if (!(error instanceof DiskError) || error.code !== "DENIED") throw error;
    }
  }
}
