import * as fs from "node:fs";
import { join } from "node:path";
import { type Bench, type Figure, figure, secondsOf } from "../bench.ts";
import { appendTo, batchOf, contextIn, inFolder, kibi, mebi, newLog } from "./place.ts";

const sizes = [16 * kibi, 64 * kibi, 256 * kibi, mebi];
const rounds = 9;
/** Bytes that a round writes. */
const roundBytes = 8 * mebi;
/** Appends before it is the other's turn: short turns, so that whatever else the machine does falls on both. */
const turnAppends = 16;

/** One append at a time, each waiting for its flush, against the same writes without a log, turn by turn. */
export const logAppend: Bench = {
  name: "log-append",
  about: "append with flush=sync and flush=async, against plain writev with and without fdatasync",
  run: () =>
    inFolder(async (folder) => {
      const figures: Figure[] = [];
      for (const flush of ["sync", "async"] as const) {
        for (const size of sizes) figures.push(...(await compare(join(folder, `${flush}-${size}`), flush, size)));
      }
      return figures;
    }),
};

async function compare(path: string, flush: "sync" | "async", size: number): Promise<Figure[]> {
  const log = await newLog(contextIn(path), path, { flush });
  const file = fs.openSync(`${path}.raw`, "w+");
  const batch = batchOf(size);
  const turns = Math.max(1, Math.ceil(roundBytes / batch.length / turnAppends));
  let position = 0;
  const writeRaw = async () => {
    for (let append = 0; append < turnAppends; append++) {
      await ended((done) => fs.writev(file, [batch], position, done));
      position += batch.length;
      if (flush === "sync") await ended((done) => fs.fdatasync(file, done));
    }
  };
  const writeLog = async () => {
    for (let append = 0; append < turnAppends; append++) {
      appendTo(log, batch);
      await log.flushed(log.logEndOffset);
    }
  };
  const rate = (seconds: number) => (turns * turnAppends * batch.length) / seconds / 1e6;
  const raw: number[] = [];
  const own: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const seconds = { raw: 0, own: 0 };
    for (let turn = 0; turn < turns; turn++) {
      seconds.raw += await secondsOf(writeRaw);
      seconds.own += await secondsOf(writeLog);
    }
    raw.push(rate(seconds.raw));
    own.push(rate(seconds.own));
  }
  await log.close();
  fs.closeSync(file);
  const ceiling = figure(`writev${flush === "sync" ? "+fdatasync" : ""} ${size / kibi} KiB`, "MB/s", raw);
  return [ceiling, figure(`append flush=${flush} ${size / kibi} KiB`, "MB/s", own, { to: ceiling.name, values: raw })];
}

/** A system call on the pool's threads, by the calls of Node that cost least, which are those that the log uses. */
function ended(call: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}
