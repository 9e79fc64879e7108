import { type Disk, DiskError } from "./disk.ts";

/** A small file as UTF-8 text; undefined where there is none. Throws the DiskError of any other failure. */
export async function readTextFile(disk: Disk, path: string): Promise<string | undefined> {
  try {
    const file = await disk.open(path, { readOnly: true });
    try {
      return new TextDecoder().decode(await file.read(0, await file.size()));
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof DiskError && error.code === "NOT_FOUND") return undefined;
    throw error;
  }
}
