import type { brokerSchema, Values } from "@tidemark/config";
import { type Log, LogError } from "@tidemark/log";
import type { Runtime } from "@tidemark/runtime";
import type { Logger } from "@tidemark/telemetry";
import { createRounds } from "./rounds.ts";

/** A log that is open, as its upkeep sees it. */
export interface UpkeptLog {
  /** For messages: `orders-0`. */
  readonly name: string;
  readonly log: Pick<Log, "status" | "logStartOffset" | "applyRetention" | "compact">;
  /**
   * Whether this broker leads the partition. Only there retention by time and size applies: followers delete below the
   * log start of their leader (L7). Compaction goes by what each replica has.
   */
  readonly isLed: boolean;
}

export interface UpkeepOptions {
  /** Every log that is open now. Asked for at the beginning of each round. */
  readonly logs: () => Iterable<UpkeptLog>;
  readonly settings: Pick<
    Values<(typeof brokerSchema)["settings"]>,
    "log.retention.check.interval.ms" | "log.cleaner.enable" | "log.cleaner.backoff.ms"
  >;
  readonly runtime: Pick<Runtime, "clock" | "scheduler">;
  readonly logger: Logger;
}

/** What is done with all logs from time to time. */
export interface Upkeep {
  /** No further round begins. Resolves when the work on the log that is under way has ended. */
  stop(): Promise<void>;
}

/**
 * Retention and compaction of every open log: rounds at their intervals, one log at a time, so that the memory of one
 * compaction is all that compaction takes. A log start that moves is told by the log's own event.
 */
export function startUpkeep({ logs, settings, runtime, logger }: UpkeepOptions): Upkeep {
  const now = () => BigInt(runtime.clock.wallMs());

  const retain = async ({ name, log, isLed }: UpkeptLog) => {
    if (!isLed) return;
    const before = log.logStartOffset;
    await log.applyRetention(now());
    if (log.logStartOffset > before)
      logger.info(`Retention moved the log start of ${name}`, { to: log.logStartOffset });
  };
  const clean = async ({ name, log }: UpkeptLog) => {
    const report = await log.compact(now());
    if (report !== undefined) logger.info(`Compacted ${name}`, { ...report });
  };
  /** Goes on with the next log, whatever becomes of one. */
  const round = (what: string, work: (log: UpkeptLog) => Promise<void>) => async (goesOn: () => boolean) => {
    for (const each of logs()) {
      if (!goesOn()) return;
      if (each.log.status.kind !== "online") continue;
      await work(each).catch((error: unknown) => {
        if (!isToldElsewhere(error)) logger.error(`${what} of ${each.name} failed: ${messageOf(error)}`);
      });
    }
  };

  const rounds = [
    createRounds(runtime.scheduler, settings["log.retention.check.interval.ms"], round("Retention", retain)),
    ...(settings["log.cleaner.enable"]
      ? [createRounds(runtime.scheduler, settings["log.cleaner.backoff.ms"], round("Compaction", clean))]
      : []),
  ];
  return {
    async stop() {
      await Promise.all(rounds.map((each) => each.stop()));
    },
  };
}

/** Damage and the end of a directory are events of their own; a log that was closed has nothing more to keep. */
function isToldElsewhere(error: unknown): boolean {
  if (!(error instanceof LogError)) return false;
  return error.code === "OFFLINE" || error.code === "DIRECTORY_FAILED" || error.code === "CLOSED";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
