import { type Disk, DiskError } from "./disk.ts";

/** All of a file that fits into memory. Fails with NOT_FOUND where there is none, for a directory too. */
export async function readWholeFile(disk: Pick<Disk, "open">, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, { readOnly: true });
  try {
    return await file.read(0, await file.size());
  } finally {
    await file.close();
  }
}

/** A small file as UTF-8 text; undefined where there is none. Throws the DiskError of any other failure. */
export async function readTextFile(disk: Disk, path: string): Promise<string | undefined> {
  try {
    return new TextDecoder().decode(await readWholeFile(disk, path));
  } catch (error) {
    if (error instanceof DiskError && error.code === "NOT_FOUND") return undefined;
    throw error;
  }
}
