import * as fs from "node:fs/promises";
import { join } from "node:path";
import type { Offset } from "@tidemark/ids";
import type { Log } from "@tidemark/log";
import { below, createSeededRandom } from "@tidemark/runtime";
import { type Bench, type Figure, figure, secondsOf } from "../bench.ts";
import { contextIn, dropFromCache, fill, inFolder, kibi, mebi, newLog } from "./place.ts";

const logBytes = 128 * mebi;
const readBytes = mebi;
const rounds = 5;
const lookups = 2000;
const segmentFile = "00000000000000000000.log";

/** The whole log from its start to its end, against reading its file in pieces of the same size. */
export const logRead: Bench = {
  name: "log-read",
  about: "sequential read of warm and cold segments against plain read, and lookups",
  run: () =>
    inFolder(async (folder) => {
      const directory = join(folder, "log");
      const log = await newLog(contextIn(folder), directory);
      await fill(log, logBytes, 64 * kibi);
      const path = join(directory, segmentFile);
      const figures = await compare(log, path, "warm");
      if (await dropFromCache(path)) figures.push(...(await compare(log, path, "cold")));
      figures.push(await lookUp(log));
      await log.close();
      return figures;
    }),
};

async function compare(log: Log, path: string, cache: "warm" | "cold"): Promise<Figure[]> {
  const raw: number[] = [];
  const own: number[] = [];
  const prepare = async () => {
    if (cache === "cold") await dropFromCache(path);
  };
  for (let round = 0; round < rounds; round++) {
    await prepare();
    raw.push(log.sizeInBytes / (await secondsOf(() => readPlainly(path))) / 1e6);
    await prepare();
    own.push(log.sizeInBytes / (await secondsOf(() => readAll(log))) / 1e6);
  }
  const ceiling = figure(`read 1 MiB, ${cache}`, "MB/s", raw);
  return [ceiling, figure(`log read 1 MiB, ${cache}, checked`, "MB/s", own, { to: ceiling.name, values: raw })];
}

async function readPlainly(path: string): Promise<void> {
  const file = await fs.open(path);
  for (let position = 0; ; ) {
    const { bytesRead } = await file.read(Buffer.allocUnsafeSlow(readBytes), 0, readBytes, position);
    if (bytesRead === 0) break;
    position += bytesRead;
  }
  await file.close();
}

async function readAll(log: Log): Promise<void> {
  for (let offset = log.logStartOffset; offset < log.logEndOffset; ) {
    offset = (await log.read(offset, { maxBytes: readBytes })).nextOffset;
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
