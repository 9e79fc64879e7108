/**
 * `controller-epoch`: the highest controller epoch that the broker of a log directory has followed. A broker that was
 * restarted tells it to the controller that it registers with: metadata of an older epoch were restored from a backup, or
 * are those of a controller that was deposed.
 */
import { DiskError, readWholeFile } from "@tidemark/disk";
import { type ControllerEpoch, controllerEpoch } from "@tidemark/ids";
import type { Crc32c } from "@tidemark/record";
import { createAside } from "../aside.ts";
import type { LogContext } from "../context.ts";
import { join } from "../names.ts";
import { DirectoryError } from "./directory-error.ts";
import { encodeProperties, parseProperties } from "./properties.ts";

export const controllerEpochFileName = "controller-epoch";

export interface ControllerEpochFile {
  /** The highest that was noted, or is being noted. 0: none, or a file that is not whole. */
  readonly noted: ControllerEpoch;
  /** Durable on return, unless a higher one is noted already or meanwhile: then that one will be. */
  note(epoch: ControllerEpoch): Promise<void>;
  /** Resolves when nothing is being written. Nothing may be noted after it. */
  close(): Promise<void>;
}

/** Throws DirectoryError UNAVAILABLE where the file is there and cannot be read. */
export async function openControllerEpochFile(context: LogContext, path: string): Promise<ControllerEpochFile> {
  const bytes = await readNoted(context, path);
  let noted = bytes === undefined ? (0 as ControllerEpoch) : parseEpoch(bytes, context.crc32c);
  // One after the other: each is written beside and renamed, by one name.
  let writing: Promise<void> = Promise.resolve();
  return {
    get noted() {
      return noted;
    },
    note(epoch) {
      if (epoch <= noted) return writing;
      noted = epoch;
      const before = writing.catch(() => undefined);
      writing = before.then(() => {
        // A higher one came while this one waited.
        if (noted > epoch) return undefined;
        return createAside(context, path, controllerEpochFileName, encodeEpoch(epoch, context.crc32c));
      });
      return writing;
    },
    close: () => writing.catch(() => undefined),
  };
}

/**
 * It was promised to keep it: where it is there and not given back, the directory is out of service until somebody has
 * seen to it. What begins at 0 instead would follow metadata that were restored from a backup.
 */
async function readNoted(context: LogContext, path: string): Promise<Uint8Array | undefined> {
  const entries = await context.disk.list(path);
  if (!entries.some(({ name }) => name === controllerEpochFileName)) return undefined;
  try {
    return await readWholeFile(context.disk, join(path, controllerEpochFileName));
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    const advice = "make it readable, or remove it if this broker can only meet the newest metadata";
    const message = `${controllerEpochFileName} cannot be read (${error.message}): ${advice}`;
    throw new DirectoryError("UNAVAILABLE", path, message, { cause: error });
  }
}

function encodeEpoch(epoch: ControllerEpoch, crc32c: Crc32c): Uint8Array {
  return encodeProperties({ "controller.epoch": String(epoch), crc32c: String(checksum(epoch, crc32c)) });
}

function parseEpoch(bytes: Uint8Array, crc32c: Crc32c): ControllerEpoch {
  const properties = parseProperties(bytes);
  const epoch = Number(properties?.get("controller.epoch") ?? Number.NaN);
  const isWhole = Number.isSafeInteger(epoch) && properties?.get("crc32c") === String(checksum(epoch, crc32c));
  return isWhole ? controllerEpoch(epoch) : (0 as ControllerEpoch);
}

function checksum(epoch: number, crc32c: Crc32c): number {
  return crc32c(new TextEncoder().encode(`controller epoch ${epoch}`));
}
