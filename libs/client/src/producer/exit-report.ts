import type { Cancel } from "@tidemark/runtime";

/** Counts of records that are not settled, one a producer that is not closed. */
const producers = new Set<() => number>();
let isListening = false;

/**
 * Says on standard error, when the process ends, how many records it leaves behind without an outcome: those of a producer
 * that nobody closed. Where there is no process, as in a browser, nothing is said.
 */
export function reportAtExit(unsettled: () => number): Cancel {
  if (!isListening && typeof process !== "undefined" && typeof process.on === "function") {
    isListening = true;
    process.on("exit", () => {
      const report = exitReport([...producers].map((count) => count()));
      if (report !== undefined) process.stderr.write(`${report}\n`);
    });
  }
  producers.add(unsettled);
  return () => {
    producers.delete(unsettled);
  };
}

/** What is said of producers with so many records each. Undefined: all were settled. */
export function exitReport(counts: readonly number[]): string | undefined {
  const records = counts.reduce((sum, count) => sum + count, 0);
  if (records === 0) return undefined;
  const what = records === 1 ? "1 record was" : `${records} records were`;
  return `tidemark: ${what} not settled when the process ended: sent or not, nobody waited. Await producer.close().`;
}
