import { type LogDirectoryOptions, replicaName } from "@tidemark/log";
import type { Logger } from "@tidemark/telemetry";

/** Says in the log of the process what the starts of replicas found that people should hear of. */
export function createStartReporter(logger: Logger, path: string): NonNullable<LogDirectoryOptions["onStart"]> {
  return (replica, { hadNotes, hadEpochs, lostCutNote, tornBytes, unflushed }) => {
    const name = `${path}/${replicaName(replica)}`;
    if (!hadNotes) {
      logger.error(
        `${name} has lost its noted offsets, which no crash does: every batch was read and is sound, and yet records ` +
          "behind the log end may be missing, and deleted ones may be back",
        { logEnd: unflushed.end },
      );
    }
    if (!hadEpochs) logger.warn(`${name} had lost its leader epochs; they were read from the batches`);
    if (lostCutNote) logger.error(`${name} has lost the note of what was cut from it: no receipt tells of that`);
    if (tornBytes > 0) logger.warn(`${name} had a torn tail, which was cut and kept aside`, { bytes: tornBytes });
  };
}
