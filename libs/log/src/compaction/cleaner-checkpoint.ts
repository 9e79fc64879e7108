/**
 * `cleaner-offset-checkpoint`: up to where a log was compacted, and when. A line for each round, "<offset> <time>
 * <crc32c>". Losing it costs work, and lets delete markers live longer; nothing else.
 */
import { readWholeFile } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import type { Crc32c } from "@tidemark/record";
import { createAside } from "../aside.ts";
import { lesser } from "../bytes.ts";
import { type LogContext, syncEntries } from "../context.ts";
import { cleanerFileName, join } from "../names.ts";
import { isSpaceError } from "../space.ts";
import { ifReadable } from "../unreadable.ts";

/** Everything below `upTo` was compacted by `at`, in milliseconds since 1970. */
export interface CleanerRound {
  readonly upTo: Offset;
  readonly at: bigint;
}

/** In the order in which they were made; offsets rise. */
export type CleanerRounds = readonly CleanerRound[];

export function firstDirtyOffset(rounds: CleanerRounds, logStart: Offset): Offset {
  const cleaned = rounds.at(-1)?.upTo ?? logStart;
  return cleaned > logStart ? cleaned : logStart;
}

/** Below it, delete markers were seen by every reader that is no slower than `retentionMs`. */
export function markersGoBelow(rounds: CleanerRounds, now: bigint, retentionMs: number): Offset {
  return rounds.findLast(({ at }) => now - at >= BigInt(retentionMs))?.upTo ?? (0n as Offset);
}

/** A delete marker may stay longer than `retentionMs`, by so small a part of it, that rounds are few to keep. */
const delayParts = 64n;

/**
 * With a round added. What no longer says more than a later round, by its age, is dropped; and of three within a short
 * time the one in the middle, whose delete markers wait for those of the last.
 */
export function addRound(rounds: CleanerRounds, round: CleanerRound, retentionMs: number): CleanerRounds {
  const past = rounds.findLastIndex(({ at }) => round.at - at >= BigInt(retentionMs));
  const kept = rounds.slice(Math.max(0, past)).filter(({ upTo }) => upTo < round.upTo);
  const before = kept.at(-2);
  const isShort = before !== undefined && (round.at - before.at) * delayParts < BigInt(retentionMs);
  return [...(isShort ? kept.slice(0, -1) : kept), round];
}

/** After the log was cut at `end`. */
export function cutRounds(rounds: CleanerRounds, end: Offset): CleanerRounds {
  if (!rounds.some(({ upTo }) => upTo > end)) return rounds;
  return rounds.map(({ upTo, at }) => ({ upTo: lesser(upTo, end), at }));
}

/** On a full disk there are none afterwards, which is true of any log. */
export async function writeRounds(context: LogContext, directory: string, rounds: CleanerRounds): Promise<void> {
  const lines = rounds.map(({ upTo, at }) => {
    const fields = `${upTo} ${at}`;
    return `${fields} ${checksum(fields, context.crc32c)}\n`;
  });
  try {
    await createAside(context, directory, cleanerFileName, new TextEncoder().encode(lines.join("")));
  } catch (error) {
    if (!isSpaceError(error) || error.code !== "NO_SPACE") throw error;
    await context.disk.remove(join(directory, cleanerFileName));
    await syncEntries(context, directory);
  }
}

/**
 * The rounds of a log that ends at `end`. Of a log whose cut a crash interrupted they may say more: that goes, durably,
 * before the log grows to there again with records that nobody compacted.
 */
export async function readRounds(context: LogContext, directory: string, end: Offset): Promise<CleanerRounds> {
  const bytes = await ifReadable(() => readWholeFile(context.disk, join(directory, cleanerFileName)));
  const noted = bytes === undefined ? [] : parseRounds(bytes, context.crc32c);
  const rounds = cutRounds(noted, end);
  if (rounds !== noted) await writeRounds(context, directory, rounds);
  return rounds;
}

function parseRounds(bytes: Uint8Array, crc32c: Crc32c): CleanerRounds {
  const rounds: CleanerRound[] = [];
  for (const line of new TextDecoder().decode(bytes).split("\n")) {
    const found = /^((\d+) (\d+)) ([0-9a-f]{8})$/.exec(line);
    if (found?.[1] === undefined || found[2] === undefined || found[3] === undefined) break;
    if (checksum(found[1], crc32c) !== found[4]) break;
    rounds.push({ upTo: BigInt(found[2]) as Offset, at: BigInt(found[3]) });
  }
  return rounds;
}

function checksum(text: string, crc32c: Crc32c): string {
  return crc32c(new TextEncoder().encode(text)).toString(16).padStart(8, "0");
}
