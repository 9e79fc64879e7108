import type { Clock } from "@tidemark/runtime";
import { destination, type Logger as Pino, pino } from "pino";
import { type LogFields, plainFields } from "./log-fields.ts";

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal"] as const;
export type LogLevel = (typeof logLevels)[number];

/**
 * Writes one JSON object a line: level, time, service, instance, message, fields; `trace_id` and `span_id` where a
 * span is given.
 */
export interface Logger {
  /** Asks whether lines of this level are written, before making what is costly to make. */
  logs(level: LogLevel): boolean;
  trace(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  fatal(message: string, fields?: LogFields): void;
  /** A logger that says these fields in every line. */
  with(fields: LogFields): Logger;
}

export interface LoggerOptions {
  readonly clock: Clock;
  readonly level: LogLevel;
  readonly service: string;
  readonly instanceId: string;
  /** Takes each line, with its end of line. Unset: standard error. */
  readonly write?: ((line: string) => void) | undefined;
}

export function createLogger({ clock, level, service, instanceId, write }: LoggerOptions): Logger {
  const root = pino(
    {
      level,
      base: { service, instance: instanceId },
      messageKey: "message",
      timestamp: () => `,"time":"${new Date(clock.wallMs()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    write === undefined ? standardError() : { write },
  );
  return wrapPino(root);
}

/** Lines that wait for a reader of standard error who has stopped reading. More are dropped. */
const maxWaitingCharacters = 2 ** 20;

/**
 * Written behind the back of the event loop, since a full pipe must not stop a broker that leads partitions. Lines that
 * wait are written when the process exits, also by an exception that nobody caught.
 */
function standardError() {
  return destination({ dest: 2, sync: false, minLength: 0, maxLength: maxWaitingCharacters });
}

function wrapPino(inner: Pino): Logger {
  const write = (level: LogLevel) => (message: string, fields?: LogFields) => {
    if (!inner.isLevelEnabled(level)) return;
    if (fields === undefined) inner[level](message);
    else inner[level](plainFields(fields), message);
  };
  return {
    logs: (level) => inner.isLevelEnabled(level),
    trace: write("trace"),
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    fatal: write("fatal"),
    with: (fields) => wrapPino(inner.child(plainFields(fields))),
  };
}
