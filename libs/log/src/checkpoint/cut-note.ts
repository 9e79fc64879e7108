/**
 * `cut-note`: what cuts took off the end of a log, until somebody has taken note of it: one line, "<first offset> <log
 * end> <crc32c>". It is durable before anything goes, so that a crash takes the records and not the word of them (D3).
 */
import { DiskError, readWholeFile } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import type { Crc32c } from "@tidemark/record";
import { createAside } from "../aside.ts";
import { greater, lesser } from "../bytes.ts";
import { type LogContext, syncEntries } from "../context.ts";
import { LogError } from "../errors.ts";
import type { LogState } from "../log-state.ts";
import { cutNoteFileName, join } from "../names.ts";
import { isSpaceError } from "../space.ts";
import { untilThereIsRoom } from "../try-again.ts";
import { ifReadable } from "../unreadable.ts";

/** The offsets from `firstOffset` to `logEnd`, exclusive; of several cuts the lowest and the highest. */
export interface CutNote {
  readonly firstOffset: Offset;
  readonly logEnd: Offset;
}

/**
 * Notes a cut that is about to be made, together with those that are noted. A full disk keeps no cut from being made, nor
 * does a folder in the note's place: then the note lasts as long as the process.
 */
export async function noteCut(log: LogState, cut: CutNote): Promise<void> {
  if (cut.firstOffset >= cut.logEnd) return;
  const before = log.cutNote ?? cut;
  const note = {
    firstOffset: lesser(before.firstOffset, cut.firstOffset),
    logEnd: greater(before.logEnd, cut.logEnd),
  };
  log.cutNote = note;
  try {
    await createAside(log.context, log.directory, cutNoteFileName, encode(note, log.context.crc32c));
  } catch (error) {
    const isInTheWay = error instanceof DiskError && error.code === "EXISTS";
    if (!isInTheWay && !isSpaceError(error)) throw error;
  }
}

/** Nobody has to be told any more; durable on return. */
export async function removeCutNote(log: LogState): Promise<void> {
  const { context, directory } = log;
  try {
    await untilThereIsRoom(log, async () => {
      await context.disk.remove(join(directory, cutNoteFileName));
      await syncEntries(context, directory);
    });
  } catch (error) {
    throw error instanceof LogError ? error : context.fail(error, `forgetting what was cut of ${directory}`);
  }
}

/**
 * What was noted when the log was closed, or its process died. Undefined where it cannot be read: the log is sound without
 * the word of what it lost, so that it is opened all the same.
 */
export async function readCutNote(context: LogContext, directory: string): Promise<CutNote | undefined> {
  const bytes = await ifReadable(() => readWholeFile(context.disk, join(directory, cutNoteFileName)));
  return bytes === undefined ? undefined : decode(bytes, context.crc32c);
}

function encode({ firstOffset, logEnd }: CutNote, crc32c: Crc32c): Uint8Array {
  const fields = `${firstOffset} ${logEnd}`;
  return new TextEncoder().encode(`${fields} ${checksum(fields, crc32c)}\n`);
}

function decode(bytes: Uint8Array, crc32c: Crc32c): CutNote | undefined {
  const found = /^((\d+) (\d+)) ([0-9a-f]{8})\n$/.exec(new TextDecoder().decode(bytes));
  if (found?.[1] === undefined || found[2] === undefined || found[3] === undefined) return undefined;
  if (checksum(found[1], crc32c) !== found[4]) return undefined;
  return { firstOffset: BigInt(found[2]) as Offset, logEnd: BigInt(found[3]) as Offset };
}

function checksum(text: string, crc32c: Crc32c): string {
  return crc32c(new TextEncoder().encode(text)).toString(16).padStart(8, "0");
}
