import * as fs from "node:fs/promises";
import { join } from "node:path";
import type { Offset } from "@tidemark/ids";
import type { Log } from "@tidemark/log";
import { below, createSeededRandom } from "@tidemark/runtime";
import { type Bench, type Figure, figure, secondsOf } from "../bench.ts";
import { contextIn, dropFromCache, fill, inFolder, kibi, mebi, newLog } from "./place.ts";

const logBytes = 128 * mebi;
/** What an answer to a follower or a consumer holds, and what a fetch asks of a partition. */
const pieceSizes = [256 * kibi, mebi] as const;
const rounds = 5;
const lookups = 2000;
const segmentFile = "00000000000000000000.log";

/**
 * The whole log from its start to its end through `Log.read`, one piece after the other, as a consumer or a follower reads
 * it; against reading its file in pieces of the same size. Both give each piece a buffer of its own, since nobody knows
 * how long what was read is kept.
 */
export const logRead: Bench = {
  name: "log-read",
  about: "sequential read of warm and cold segments against plain read, and lookups",
  run: () =>
    inFolder(async (folder) => {
      const directory = join(folder, "log");
      const log = await newLog(contextIn(folder), directory);
      await fill(log, logBytes, 64 * kibi);
      const path = join(directory, segmentFile);
      const figures: Figure[] = [];
      for (const piece of pieceSizes) figures.push(...(await compare(log, { path, piece, cache: "warm" })));
      if (await dropFromCache(path)) {
        for (const piece of pieceSizes) figures.push(...(await compare(log, { path, piece, cache: "cold" })));
      }
      figures.push(await lookUp(log));
      await log.close();
      return figures;
    }),
};

interface Comparison {
  readonly path: string;
  /** Bytes. */
  readonly piece: number;
  readonly cache: "warm" | "cold";
}

async function compare(log: Log, { path, piece, cache }: Comparison): Promise<Figure[]> {
  const raw: number[] = [];
  const own: number[] = [];
  const prepare = async () => {
    if (cache === "cold") await dropFromCache(path);
  };
  for (let round = 0; round < rounds; round++) {
    await prepare();
    raw.push(log.sizeInBytes / (await secondsOf(() => readPlainly(path, piece))) / 1e6);
    await prepare();
    own.push(log.sizeInBytes / (await secondsOf(() => readAll(log, piece))) / 1e6);
  }
  const name = `read ${piece / kibi} KiB, ${cache}`;
  const ceiling = figure(name, "MB/s", raw);
  return [ceiling, figure(`log ${name}, checked`, "MB/s", own, { to: ceiling.name, values: raw })];
}

async function readPlainly(path: string, piece: number): Promise<void> {
  const file = await fs.open(path);
  for (let position = 0; ; ) {
    const { bytesRead } = await file.read(Buffer.allocUnsafeSlow(piece), 0, piece, position);
    if (bytesRead === 0) break;
    position += bytesRead;
  }
  await file.close();
}

async function readAll(log: Log, piece: number): Promise<void> {
  for (let offset = log.logStartOffset; offset < log.logEndOffset; ) {
    offset = (await log.read(offset, { maxBytes: piece })).nextOffset;
  }
}

async function lookUp(log: Log): Promise<Figure> {
  const random = createSeededRandom(1);
  const values: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const seconds = await secondsOf(async () => {
      for (let lookup = 0; lookup < lookups; lookup++) {
        const offset = BigInt(below(random, Number(log.logEndOffset))) as Offset;
        await log.read(offset, { maxBytes: 1 });
      }
    });
    values.push(lookups / seconds);
  }
  return figure("lookup of a random offset, one at a time", "per s", values);
}
