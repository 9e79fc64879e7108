/** The records of one producer that are not settled. */
export interface UnsettledRecords {
  unsettled: number;
  /** The producer is closed: nothing more is said of it. */
  close(): void;
}

/** Of the producers that are not closed. It holds counts alone, so that one that nobody closes can be forgotten. */
const producers = new Set<UnsettledRecords>();
let isListening = false;

/**
 * Says on standard error, when the process ends, how many records it leaves behind without an outcome: those of a producer
 * that nobody closed. Where there is no process, as in a browser, nothing is said.
 */
export function reportAtExit(): UnsettledRecords {
  if (!isListening && typeof process !== "undefined" && typeof process.on === "function") {
    isListening = true;
    process.on("exit", () => {
      const report = exitReport([...producers].map(({ unsettled }) => unsettled));
      if (report !== undefined) process.stderr.write(`${report}\n`);
    });
  }
  const records: UnsettledRecords = {
    unsettled: 0,
    close() {
      producers.delete(records);
    },
  };
  producers.add(records);
  return records;
}

/** What is said of producers with so many records each. Undefined: all were settled. */
export function exitReport(counts: readonly number[]): string | undefined {
  const records = counts.reduce((sum, count) => sum + count, 0);
  if (records === 0) return undefined;
  const what = records === 1 ? "1 record was" : `${records} records were`;
  return `tidemark: ${what} not settled when the process ended: sent or not, nobody waited. Await producer.close().`;
}
