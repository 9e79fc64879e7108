import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type Bench, figure } from "../bench.ts";
import { appendTo, batchOf, contextIn, inFolder, kibi, mebi, newLog } from "./place.ts";

const partitions = 1000;
/** Few, so that what is counted is the logs and not their files. */
const maxOpenFiles = 64;

/** What a thousand idle partitions hold, after each had an append. */
export const logMemory: Bench = {
  name: "log-memory",
  about: "memory of 1,000 idle partitions",
  run: () =>
    inFolder(async (folder) => {
      setFlagsFromString("--expose-gc");
      const collect = runInNewContext("gc") as () => void;
      const context = contextIn(folder, maxOpenFiles);
      const used = () => {
        collect();
        const { heapUsed, external } = process.memoryUsage();
        return (heapUsed + external) / mebi;
      };
      const kept = [await newLog(context, join(folder, "first"))];
      const before = used();
      for (let partition = 0; partition < partitions; partition++) {
        const log = await newLog(context, join(folder, String(partition)));
        appendTo(log, batchOf(kibi));
        await log.flushed(log.logEndOffset);
        kept.push(log);
      }
      // The notes of the last flushes are themselves flushed within a second.
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const after = used();
      for (const log of kept) await log.close();
      await context.files.close();
      return [figure(`${partitions} idle partitions`, "MiB", [after - before])];
    }),
};
