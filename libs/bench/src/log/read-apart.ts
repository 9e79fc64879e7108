/** What `log-read` measures, in a process of its own. */
import * as fs from "node:fs/promises";
import { join } from "node:path";
import type { Offset } from "@tidemark/ids";
import type { Log } from "@tidemark/log";
import { below, createSeededRandom } from "@tidemark/runtime";
import { type Figure, figure, secondsOf } from "../bench.ts";
import { handOver } from "./apart.ts";
import { batchOf, contextIn, dropFromCache, fill, inFolder, kibi, mebi, newLog } from "./place.ts";

const logBytes = 128 * mebi;
/** What an answer to a follower or a consumer holds, and what a fetch asks of a partition. */
const pieceSizes = [256 * kibi, mebi] as const;
const rounds = 9;
/** Rounds before that do not count: code is compiled, and memory is got from the system. */
const warmUp = 3;
const segmentFile = "00000000000000000000.log";

const lookups = 2000;
const lookupLogBytes = 32 * mebi;
const lookupBatches = [4 * kibi, 64 * kibi] as const;
/** Lookups under way: as one consumer does, and as many together. */
const lookupsAtATime = [1, 16] as const;

interface Comparison {
  readonly path: string;
  /** Bytes. */
  readonly piece: number;
  readonly cache: "warm" | "cold";
}

/**
 * The whole log from its start to its end through `Log.read`, one piece after the other, as a consumer or a follower reads
 * it; against reading its file in pieces of the same size. Both give each piece a buffer of its own, since nobody knows
 * how long what was read is kept.
 */
async function compareReads(log: Log, { path, piece, cache }: Comparison): Promise<Figure[]> {
  const raw: number[] = [];
  const own: number[] = [];
  const prepare = async () => {
    if (cache === "cold") await dropFromCache(path);
  };
  for (let round = -warmUp; round < rounds; round++) {
    await prepare();
    const rawRate = log.sizeInBytes / (await secondsOf(() => readPlainly(path, piece))) / 1e6;
    await prepare();
    const ownRate = log.sizeInBytes / (await secondsOf(() => readAll(log, piece))) / 1e6;
    if (round < 0) continue;
    raw.push(rawRate);
    own.push(ownRate);
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

/** The batch of a random offset, found and checked; against reading as many bytes at a random place of the file. */
async function compareLookups(folder: string, batchBytes: number): Promise<Figure[]> {
  const directory = join(folder, `lookups-${batchBytes}`);
  const log = await newLog(contextIn(directory), directory, { flush: "async" });
  await fill(log, lookupLogBytes, batchBytes);
  const file = await fs.open(join(directory, segmentFile));
  const { length } = batchOf(batchBytes);
  const random = createSeededRandom(1);
  const readSome = () => file.read(Buffer.allocUnsafeSlow(length), 0, length, below(random, log.sizeInBytes - length));
  const lookUp = () => log.read(BigInt(below(random, Number(log.logEndOffset))) as Offset, { maxBytes: 1 });
  const figures: Figure[] = [];
  for (const atATime of lookupsAtATime) {
    const raw: number[] = [];
    const own: number[] = [];
    for (let round = -warmUp; round < rounds; round++) {
      const rates = [await rateOf(readSome, atATime), await rateOf(lookUp, atATime)] as const;
      if (round < 0) continue;
      raw.push(rates[0]);
      own.push(rates[1]);
    }
    const how = `${batchBytes / kibi} KiB, ${atATime} at a time`;
    const ceiling = figure(`read at a random place, ${how}`, "per s", raw);
    figures.push(ceiling, figure(`lookup, batches of ${how}`, "per s", own, { to: ceiling.name, values: raw }));
  }
  await file.close();
  await log.close();
  return figures;
}

async function rateOf(work: () => Promise<unknown>, atATime: number): Promise<number> {
  let left = lookups;
  const one = async () => {
    while (left-- > 0) await work();
  };
  const seconds = await secondsOf(() => Promise.all(Array.from({ length: atATime }, one)));
  return lookups / seconds;
}

await inFolder(async (folder) => {
  const directory = join(folder, "log");
  const log = await newLog(contextIn(folder), directory);
  await fill(log, logBytes, 64 * kibi);
  const path = join(directory, segmentFile);
  const figures: Figure[] = [];
  for (const piece of pieceSizes) figures.push(...(await compareReads(log, { path, piece, cache: "warm" })));
  if (await dropFromCache(path)) {
    for (const piece of pieceSizes) figures.push(...(await compareReads(log, { path, piece, cache: "cold" })));
  }
  await log.close();
  for (const batchBytes of lookupBatches) figures.push(...(await compareLookups(folder, batchBytes)));
  handOver(figures);
});
