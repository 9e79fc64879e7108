import type { DiskFile } from "@tidemark/disk";
import { type LogContext, syncEntries } from "./context.ts";
import { asideSuffix, join, parentOf } from "./names.ts";

type AsideContext = Pick<LogContext, "disk" | "files" | "guards">;

/**
 * Puts a file with this content in place of `name`: written aside, synced, renamed, the directory synced (L5). At any
 * crash point the old file or the new one is there.
 */
export async function createAside(
  context: AsideContext,
  directory: string,
  name: string,
  bytes: Uint8Array,
): Promise<void> {
  await writeAside(context, join(directory, name), (file) => file.write(0, [bytes]));
}

/** The same for content that is too much to be held at once. */
export async function writeAside(
  context: AsideContext,
  path: string,
  write: (file: DiskFile) => Promise<void>,
): Promise<void> {
  await putInPlace(context, path, write);
  await syncEntries(context, parentOf(path));
}

/** The same but for the directory, which is still to be synced: until then a power cut may bring the old file back. */
export async function putInPlace(
  context: Omit<AsideContext, "guards">,
  path: string,
  write: (file: DiskFile) => Promise<void>,
): Promise<void> {
  const aside = path + asideSuffix;
  await context.disk.remove(aside);
  const file = await context.disk.create(aside);
  try {
    await write(file);
    await file.sync();
  } finally {
    await file.close();
  }
  await context.disk.rename(aside, path);
  context.files.forget(path);
}
