import * as fs from "node:fs";
import { join } from "node:path";
import { crc32c } from "@tidemark/compression";
import { type Bench, figure, secondsOf } from "../bench.ts";
import { contextIn, dropFromCache, fill, inFolder, kibi, mebi, newLog, reopenLog } from "./place.ts";

const logBytes = 512 * mebi;
const segmentBytes = 256 * mebi;
const rounds = 3;

/**
 * A start without any checkpoint or index, so that everything in the last segment is read and checked, and all batches
 * for their epochs; and a start after a kill, when only what was not flushed is.
 */
export const logRecovery: Bench = {
  name: "log-recovery",
  about: "recovery from scratch against the disk and against CRC-32C, and after a kill",
  run: () =>
    inFolder(async (folder) => {
      const directory = join(folder, "log");
      const context = contextIn(folder);
      const log = await newLog(context, directory, { segmentBytes, flush: "async" });
      await fill(log, logBytes, 64 * kibi);
      await log.close();
      await context.files.close();
      const files = fs.readdirSync(directory).filter((name) => name.endsWith(".log"));
      const bytes = files.reduce((sum, name) => sum + fs.statSync(join(directory, name)).size, 0);
      const isCold = await dropFromCache(join(directory, files[0] ?? ""));
      const drop = async () => {
        for (const name of files) if (isCold) await dropFromCache(join(directory, name));
      };
      const [disk, scratch, kill]: [number[], number[], number[]] = [[], [], []];
      for (let round = 0; round < rounds; round++) {
        await drop();
        disk.push(bytes / (await secondsOf(async () => readPlainly(directory, files))) / 1e6);
        const copy = join(folder, `copy-${round}`);
        fs.cpSync(directory, copy, { recursive: true });
        for (const name of fs.readdirSync(copy)) if (!name.endsWith(".log")) fs.rmSync(join(copy, name));
        for (const name of files) if (isCold) await dropFromCache(join(copy, name));
        scratch.push(bytes / (await openSeconds(copy)) / 1e6);
        fs.rmSync(copy, { recursive: true });
        kill.push((await openSeconds(directory)) * 1000);
      }
      const ceiling = figure(isCold ? "read 4 MiB, cold" : "read 4 MiB, warm", "MB/s", disk);
      const rates = crcRates();
      const checksum = figure("crc32c 64 KiB", "MB/s", rates);
      return [
        ceiling,
        checksum,
        figure("recovery from scratch", "MB/s", scratch, { to: ceiling.name, values: disk }),
        figure("recovery from scratch, beside crc32c", "MB/s", scratch, { to: checksum.name, values: rates }),
        figure("start of a log that was flushed", "ms", kill),
      ];
    }),
};

async function openSeconds(directory: string): Promise<number> {
  const context = contextIn(directory);
  const seconds = await secondsOf(() => reopenLog(context, directory, { segmentBytes }));
  await context.files.close();
  return seconds;
}

function readPlainly(directory: string, files: readonly string[]): void {
  const buffer = Buffer.allocUnsafeSlow(4 * mebi);
  for (const name of files) {
    const file = fs.openSync(join(directory, name), "r");
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
