import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Log } from "@tidemark/log";
import { type Bench, figure } from "../bench.ts";
import { appendTo, batchOf, contextIn, inFolder, kibi, mebi, newLog } from "./place.ts";

const partitions = 1000;
/** Logs that are there before: code is compiled and shared things are made while these are. */
const warmUp = 300;
const rounds = 2;
/** Few, so that what is counted is the logs and not their files. */
const maxOpenFiles = 64;

/** What a thousand idle partitions hold, after each had an append. */
export const logMemory: Bench = {
  name: "log-memory",
  about: "memory of 1,000 idle partitions more, on a heap that was collected",
  run: () =>
    inFolder(async (folder) => {
      setFlagsFromString("--expose-gc");
      // Compiled code that comes and goes between two collections would hide what a log takes.
      setFlagsFromString("--no-flush-bytecode");
      const collect = runInNewContext("gc") as () => void;
      const context = contextIn(folder, maxOpenFiles);
      const kept: Log[] = [];
      const usedWith = async (more: number) => {
        for (let partition = 0; partition < more; partition++) {
          const log = await newLog(context, join(folder, String(kept.length)));
          appendTo(log, batchOf(kibi));
          await log.flushed(log.logEndOffset);
          kept.push(log);
        }
        // The notes of the last flushes are themselves flushed within a second.
        await new Promise((resolve) => setTimeout(resolve, 1500));
        for (let pass = 0; pass < 4; pass++) collect();
        const { heapUsed, external } = process.memoryUsage();
        return (heapUsed + external) / mebi;
      };
      const values: number[] = [];
      let before = await usedWith(warmUp);
      for (let round = 0; round < rounds; round++) {
        const after = await usedWith(partitions);
        values.push(after - before);
        before = after;
      }
      for (const log of kept) await log.close();
      await context.files.close();
      return [figure(`${partitions} idle partitions`, "MiB", values)];
    }),
};
