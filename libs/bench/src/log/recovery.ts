import * as fs from "node:fs";
import { join } from "node:path";
import { crc32c } from "@tidemark/compression";
import { type Bench, figure, secondsOf } from "../bench.ts";
import { contextIn, dropFromCache, fill, inFolder, kibi, mebi, newLog, reopenLog } from "./place.ts";

const logBytes = 512 * mebi;
const segmentBytes = 256 * mebi;
const rounds = 5;

/**
 * A start without any checkpoint or index, so that everything in the last segment is read and checked, and all batches
 * for their epochs; and a start after a kill, when only what was not flushed is.
 */
export const logRecovery: Bench = {
  name: "log-recovery",
  about: "recovery from scratch against the disk and against CRC-32C, and the start of a log that was flushed",
  run: () =>
    inFolder(async (folder) => {
      const directory = join(folder, "log");
      const context = contextIn(folder);
      const log = await newLog(context, directory, { segmentBytes, flush: "async" });
      await fill(log, logBytes, 64 * kibi);
      await log.close();
      await context.files.close();
      const paths = namesIn(directory, (name) => name.endsWith(".log"));
      const bytes = paths.reduce((sum, path) => sum + fs.statSync(path).size, 0);
      const [disk, scratch, flushed]: [number[], number[], number[]] = [[], [], []];
      let isCold = true;
      for (let round = 0; round < rounds; round++) {
        isCold = await dropAll(paths);
        disk.push(bytes / (await secondsOf(async () => readPlainly(paths))) / 1e6);
        for (const path of namesIn(directory, (name) => !name.endsWith(".log"))) fs.rmSync(path);
        await dropAll(paths);
        scratch.push(bytes / (await openSeconds(directory)) / 1e6);
        flushed.push((await openSeconds(directory)) * 1000);
      }
      const ceiling = figure(isCold ? "read 4 MiB, cold" : "read 4 MiB, warm", "MB/s", disk);
      const rates = crcRates();
      const checksum = figure("crc32c 64 KiB", "MB/s", rates);
      return [
        ceiling,
        checksum,
        figure("recovery from scratch", "MB/s", scratch, { to: ceiling.name, values: disk }),
        figure("recovery from scratch, beside crc32c", "MB/s", scratch, { to: checksum.name, values: rates }),
        figure("start of a log that was flushed", "ms", flushed),
      ];
    }),
};

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

/** Opens the log; what it then has to flush and to close is not counted. */
async function openSeconds(directory: string): Promise<number> {
  const context = contextIn(directory);
  const start = performance.now();
  const log = await reopenLog(context, directory, { segmentBytes });
  const seconds = (performance.now() - start) / 1000;
  await log.flushed(log.logEndOffset);
  await log.close();
  await context.files.close();
  return seconds;
}

function readPlainly(paths: readonly string[]): void {
  const buffer = Buffer.allocUnsafeSlow(4 * mebi);
  for (const path of paths) {
    const file = fs.openSync(path, "r");
    while (fs.readSync(file, buffer) > 0);
    fs.closeSync(file);
  }
}

function crcRates(): number[] {
  const bytes = new Uint8Array(64 * kibi).fill(7);
  return Array.from({ length: rounds }, () => {
    const start = performance.now();
    for (let pass = 0; pass < 2000; pass++) crc32c(bytes);
    return (2000 * bytes.length) / ((performance.now() - start) / 1000) / 1e6;
  });
}
