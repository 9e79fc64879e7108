import { crc32c } from "@tidemark/compression";
import type { Disk } from "@tidemark/disk";
import { type LogDirectory, type LogGuards, openLogDirectories } from "@tidemark/log";
import type { Codecs } from "@tidemark/record";
import type { Runtime } from "@tidemark/runtime";
import { StartRefusedError } from "@tidemark/service";
import type { Logger } from "@tidemark/telemetry";
import { createStartReporter } from "./upkeep/report-starts.ts";

export interface OpenDirectories {
  readonly paths: readonly string[];
  readonly owner: { readonly clusterId: string; readonly nodeId: number };
  readonly diskFor: (directory: string) => Disk;
  readonly codecs: Codecs;
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** Absent: every guard on. */
  readonly guards?: LogGuards | undefined;
  /** Told how long each flush of what was appended took, in milliseconds. */
  readonly onFlush: (ms: number) => void;
  /** Told when the last one that could be used has failed. */
  readonly onNoneLeft: (error: Error) => void;
}

/** Opens those log directories that can be used. Throws StartRefusedError where there is none. */
export async function openDirectories(of: OpenDirectories): Promise<readonly LogDirectory[]> {
  const { paths, owner, diskFor, codecs, runtime, logger, guards, onFlush, onNoneLeft } = of;
  let inUse: readonly LogDirectory[] = [];
  const isOver = () => inUse.length > 0 && inUse.every(({ failure }) => failure !== undefined);
  const opened = await openLogDirectories(
    paths.map((path) => ({
      path,
      disk: diskFor(path),
      runtime,
      crc32c,
      codecs,
      owner,
      createMissing: true,
      onFlush,
      beginWriting: (write) => {
        runtime.scheduler.afterInput(write);
      },
      ...(guards === undefined ? {} : { guards }),
      onStart: createStartReporter(logger, path),
      onFailure: (error) => {
        logger.error(`The log directory ${path} failed: ${error.message}`);
        if (isOver()) onNoneLeft(new Error(`No log directory is left: ${error.message}`, { cause: error }));
      },
    })),
  );
  for (const error of opened.failed) logger.error(`A log directory is out of service: ${error.message}`);
  for (const { path, unreadableLines, lostList } of opened.open) {
    if (lostList)
      logger.error(
        `${path}/replicas is gone; what is there was listed anew; a replica that is gone as well is not missed`,
      );
    if (unreadableLines === 0) continue;
    logger.error(
      `${path}/replicas has lines that cannot be read; the list is kept as replicas.unreadable, and what is there was ` +
        "listed anew; a replica that is gone and that no other line names is not missed",
      { lines: unreadableLines },
    );
  }
  inUse = opened.open;
  if (opened.open.length > 0) return opened.open;
  throw new StartRefusedError(
    `No log directory can be used: ${opened.failed.map((error) => error.message).join("; ")}`,
  );
}
