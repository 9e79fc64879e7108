import { readWholeFile } from "@tidemark/disk";
import type { LogContext } from "../context.ts";
import { join } from "../names.ts";
import { unlessMissing } from "../recovery/find-files.ts";

/** All of a file of a few lines. Undefined where there is none. */
export async function readSmallFile(
  { disk }: Pick<LogContext, "disk">,
  directory: string,
  name: string,
): Promise<Uint8Array | undefined> {
  return unlessMissing(() => readWholeFile(disk, join(directory, name)));
}
