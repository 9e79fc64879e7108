import { DiskError, type DiskFile } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import { DamageError } from "../errors.ts";
import type { Segment } from "./segment.ts";

/** Reads, and takes bytes that the device does not give back for damage. */
export async function readOrDamage(
  file: DiskFile,
  segment: Segment,
  range: { readonly from: number; readonly length: number; readonly offset: Offset; readonly into?: Uint8Array },
): Promise<Uint8Array> {
  try {
    return await file.read(range.from, range.length, range.into);
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== "IO") throw error;
    throw new DamageError(
      {
        kind: "unreadable",
        offset: range.offset,
        detail: `Cannot read ${range.length} bytes at ${range.from} of ${segment.path}`,
      },
      { cause: error },
    );
  }
}

/** The file for a scan, whose reads fail with the damage that begins at `offset`. */
export function damageReading(file: DiskFile, segment: Segment, offset: () => Offset): Pick<DiskFile, "read"> {
  return {
    read: (from, length, into) =>
      readOrDamage(file, segment, { from, length, offset: offset(), ...(into === undefined ? {} : { into }) }),
  };
}
