/**
 * `controller-epoch`: the highest controller epoch that the broker of a log directory has followed. A broker that was
 * restarted tells it to the controller that it registers with: metadata of an older epoch were restored from a backup, or
 * are those of a controller that was deposed.
 */
import { type ControllerEpoch, controllerEpoch } from "@tidemark/ids";
import type { Crc32c } from "@tidemark/record";
import { createAside } from "../aside.ts";
import type { LogContext } from "../context.ts";
import { encodeProperties, parseProperties } from "./properties.ts";
import { readSmallFile } from "./small-file.ts";

export const controllerEpochFileName = "controller-epoch";

export interface ControllerEpochFile {
  /** The highest that was noted, or is being noted. 0: none, or a file that is not whole. */
  readonly noted: ControllerEpoch;
  /** Durable on return, unless a higher one is noted already or meanwhile: then that one will be. */
  note(epoch: ControllerEpoch): Promise<void>;
  /** Resolves when nothing is being written. Nothing may be noted after it. */
  close(): Promise<void>;
}

export async function openControllerEpochFile(context: LogContext, path: string): Promise<ControllerEpochFile> {
  const bytes = await readSmallFile(context, path, controllerEpochFileName);
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
