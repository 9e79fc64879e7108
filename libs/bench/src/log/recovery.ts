import * as fs from "node:fs";
import { join } from "node:path";
import { crc32c } from "@tidemark/compression";
import { type Bench, type Figure, figure } from "../bench.ts";
import { contextIn, dropFromCache, fill, inFolder, kibi, mebi, newLog, reopenLog } from "./place.ts";

const logBytes = 2048 * mebi;
const segmentBytes = 256 * mebi;
const rounds = 3;

/**
 * A start without any checkpoint or index, so that everything is read and checked, also for the leader epochs, with the
 * page cache emptied of it (by `dd iflag=nocache`, where that is there; the names of the figures say what was so).
 */
export const logRecovery: Bench = {
  name: "log-recovery",
  about: "recovery of 2 GiB from scratch against the disk and against CRC-32C, in the same run",
  run: (say) =>
    inFolder(async (folder) => {
      const directory = join(folder, "log");
      const context = contextIn(folder);
      const log = await newLog(context, directory, { segmentBytes, flush: "async" });
      await fill(log, logBytes, 64 * kibi);
      await log.close();
      await context.files.close();
      say("filled");
      const paths = namesIn(directory, (name) => name.endsWith(".log"));
      const bytes = paths.reduce((sum, path) => sum + fs.statSync(path).size, 0);
      const [disk, scratch, flushed]: [number[], number[], number[]] = [[], [], []];
      const rates: number[] = [];
      let isCold = true;
      for (let round = 0; round < rounds; round++) {
        isCold = await dropAll(paths);
        disk.push(bytes / secondsOfRead(paths) / 1e6);
        for (const path of namesIn(directory, (name) => !name.endsWith(".log"))) fs.rmSync(path);
        await dropAll(paths);
        rates.push(crcRate());
        scratch.push(bytes / (await startSeconds(directory)).open / 1e6);
        flushed.push((await startSeconds(directory)).open * 1000);
        say(`round ${round + 1} of ${rounds}`);
      }
      const cache = isCold ? "cold" : "warm";
      const ceiling = figure(`read 4 MiB, ${cache}`, "MB/s", disk);
      const checksum = figure("crc32c 64 KiB", "MB/s", rates);
      return [
        ceiling,
        checksum,
        figure(`recovery from scratch, ${cache}`, "MB/s", scratch, { to: ceiling.name, values: disk }),
        figure(`recovery from scratch, ${cache}, beside crc32c`, "MB/s", scratch, { to: checksum.name, values: rates }),
        figure("start of a log that was flushed", "ms", flushed),
      ];
    }),
};

const killRounds = 3;
const unflushedMebi = [4, 16, 64];

/** Starts after a kill, when what was written and not flushed is in the page cache: it is checked and written anew. */
export const logRestart: Bench = {
  name: "log-restart",
  about:
    "the start of a 256 MiB log after a kill, by how much of it was not flushed: until it reads, until it is flushed",
  run: () =>
    inFolder(async (folder) => {
      const figures: Figure[] = [];
      for (const mebibytes of unflushedMebi) {
        const [open, flushed]: [number[], number[]] = [[], []];
        for (let round = 0; round < killRounds; round++) {
          const killed = await killedLog(join(folder, `${mebibytes}-${round}`), mebibytes * mebi);
          const start = await startSeconds(killed);
          open.push(start.open * 1000);
          flushed.push(start.flushed * 1000);
          fs.rmSync(killed, { recursive: true });
        }
        figures.push(figure(`${mebibytes} MiB not flushed: it reads after`, "ms", open));
        figures.push(figure(`${mebibytes} MiB not flushed: all is flushed after`, "ms", flushed));
      }
      return figures;
    }),
};

/** A copy of a log's files at a moment when so many of its bytes were written and not flushed. */
async function killedLog(directory: string, unflushedBytes: number): Promise<string> {
  const context = contextIn(directory);
  const flushed = await newLog(context, directory);
  await fill(flushed, 256 * mebi, mebi);
  await flushed.close();
  const log = await reopenLog(context, directory, { flush: "async" });
  await fill(log, unflushedBytes, 64 * kibi);
  const copy = `${directory}-killed`;
  fs.cpSync(directory, copy, { recursive: true });
  await log.close();
  await context.files.close();
  fs.rmSync(directory, { recursive: true });
  return copy;
}

function namesIn(directory: string, wanted: (name: string) => boolean): string[] {
  return fs
    .readdirSync(directory)
    .filter(wanted)
    .map((name) => join(directory, name));
}

async function dropAll(paths: readonly string[]): Promise<boolean> {
  let dropped = true;
  for (const path of paths) dropped = (await dropFromCache(path)) && dropped;
  return dropped;
}

/** Opens the log: seconds until it reads, and until everything in it counts as flushed. Closing is not counted. */
async function startSeconds(directory: string): Promise<{ readonly open: number; readonly flushed: number }> {
  const context = contextIn(directory);
  const start = performance.now();
  const log = await reopenLog(context, directory, { segmentBytes });
  const open = (performance.now() - start) / 1000;
  await log.flushed(log.logEndOffset);
  const flushed = (performance.now() - start) / 1000;
  await log.close();
  await context.files.close();
  return { open, flushed };
}

function secondsOfRead(paths: readonly string[]): number {
  const start = performance.now();
  const buffer = Buffer.allocUnsafeSlow(4 * mebi);
  for (const path of paths) {
    const file = fs.openSync(path, "r");
    while (fs.readSync(file, buffer) > 0);
    fs.closeSync(file);
  }
  return (performance.now() - start) / 1000;
}

/** MB/s. */
function crcRate(): number {
  const passes = 4000;
  const bytes = new Uint8Array(64 * kibi).fill(7);
  const start = performance.now();
  for (let pass = 0; pass < passes; pass++) crc32c(bytes);
  return (passes * bytes.length) / ((performance.now() - start) / 1000) / 1e6;
}
