/**
 * `leader-epoch-checkpoint`: a line for each leader epoch, "<epoch> <start offset> <crc32c of both>".
 *
 * A new epoch is a line more. A crash may tear the last line, which then does not count: an epoch is in the file,
 * synced, before a batch of it counts as flushed, and what was not flushed is read again at the next start.
 * A cut of the log takes lines from the end; when the log start moves, the file is written anew aside and renamed (L5).
 */
import type { DiskFile, PooledFile } from "@tidemark/disk";
import type { LeaderEpoch, Offset } from "@tidemark/ids";
import { createAside } from "../aside.ts";
import { type LogContext } from "../context.ts";
import { epochFileName, join } from "../names.ts";
import { type EpochCache, type EpochStart, latestEpoch } from "./epoch-cache.ts";

export interface EpochFile {
  /** Lines to be written; nothing happens before `write`. */
  add(start: EpochStart): void;
  /** True while `sync` has something to do. */
  readonly unsynced: boolean;
  /** Writes the lines that were added. */
  write(): Promise<void>;
  /** Makes what was written durable. */
  sync(): Promise<void>;
  /** Forgets all lines but those of `cache`, which is how the lines begin. Durable after `sync`. */
  cut(cache: EpochCache): Promise<void>;
  /** Replaces everything by `cache`, durable on return. */
  replace(cache: EpochCache): Promise<void>;
}

/** `size`: how much of the file counts, in bytes; new lines go there. */
export function createEpochFile(context: LogContext, directory: string, size: number): EpochFile {
  const path = join(directory, epochFileName);
  let end = size;
  let added: EpochStart[] = [];
  let held: PooledFile | undefined;

  return {
    add: (start) => {
      added.push(start);
    },
    get unsynced() {
      return held !== undefined || added.length > 0;
    },
    async write() {
      if (added.length === 0) return;
      const bytes = encodeEpochs(added, context);
      added = [];
      held ??= await context.files.acquire(path);
      await held.file.write(end, [bytes]);
      end += bytes.length;
    },
    async sync() {
      if (held === undefined) return;
      const file = held;
      await file.file.sync();
      held = undefined;
      file.release();
    },
    async cut(cache) {
      const latest = latestEpoch(cache) ?? -1;
      added = added.filter((start) => start.leaderEpoch <= latest);
      end = encodeEpochs(cache.slice(0, cache.length - added.length), context).length;
      held ??= await context.files.acquire(path);
      await held.file.truncate(end);
    },
    async replace(cache) {
      added = [];
      held?.release();
      held = undefined;
      const bytes = encodeEpochs(cache, context);
      await createAside(context, directory, epochFileName, bytes);
      end = bytes.length;
    },
  };
}

/** Reads the lines up to the first that is torn or wrong. `size`: bytes of them. `whole`: there is nothing behind them. */
export async function readEpochFile(
  file: DiskFile,
  context: Pick<LogContext, "crc32c">,
): Promise<{ readonly cache: EpochCache; readonly size: number; readonly whole: boolean }> {
  const bytes = await file.read(0, await file.size());
  const cache: EpochStart[] = [];
  let size = 0;
  for (const line of new TextDecoder().decode(bytes).split("\n")) {
    const start = parseLine(line, context);
    const latest = cache.at(-1);
    if (start === undefined) break;
    if (latest !== undefined && (latest.leaderEpoch >= start.leaderEpoch || latest.startOffset > start.startOffset)) {
      break;
    }
    cache.push(start);
    size += line.length + 1;
  }
  return { cache, size, whole: size === bytes.length };
}

export function encodeEpochs(cache: EpochCache, context: Pick<LogContext, "crc32c">): Uint8Array {
  const lines = cache.map(({ leaderEpoch, startOffset }) => {
    const fields = `${leaderEpoch} ${startOffset}`;
    return `${fields} ${checksum(fields, context)}\n`;
  });
  return new TextEncoder().encode(lines.join(""));
}

function parseLine(line: string, context: Pick<LogContext, "crc32c">): EpochStart | undefined {
  const found = /^((\d+) (\d+)) ([0-9a-f]{8})$/.exec(line);
  if (found === null || found[1] === undefined || found[3] === undefined) return undefined;
  if (checksum(found[1], context) !== found[4]) return undefined;
  return { leaderEpoch: Number(found[2]) as LeaderEpoch, startOffset: BigInt(found[3]) as Offset };
}

function checksum(text: string, { crc32c }: Pick<LogContext, "crc32c">): string {
  return crc32c(new TextEncoder().encode(text)).toString(16).padStart(8, "0");
}
