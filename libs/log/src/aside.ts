import { type LogContext, syncEntries } from "./context.ts";
import { asideSuffix, join } from "./names.ts";

/**
 * Puts a file with this content in place of `name`: written aside, synced, renamed, the directory synced (L5). At any
 * crash point the old file or the new one is there.
 */
export async function createAside(
  context: Pick<LogContext, "disk" | "files" | "guards">,
  directory: string,
  name: string,
  bytes: Uint8Array,
): Promise<void> {
  const path = join(directory, name);
  const aside = path + asideSuffix;
  await context.disk.remove(aside);
  const file = await context.disk.create(aside);
  try {
    await file.write(0, [bytes]);
    await file.sync();
  } finally {
    await file.close();
  }
  await context.disk.rename(aside, path);
  context.files.forget(path);
  await syncEntries(context, directory);
}
