import type { Entry, Problem, SourceReading } from "./source.ts";

export interface FlagsReading extends SourceReading {
  /** What `--config` names. Undefined where it is not given. */
  readonly configFile: string | undefined;
}

/**
 * Reads `--key=value` and `--key value`. Of a flag given twice the last one counts, so that a script can append to
 * what it was given. `--config FILE` names the file of settings.
 */
export function readFlags(args: readonly string[]): FlagsReading {
  const entries = new Map<string, Entry>();
  const problems: Problem[] = [];
  let configFile: string | undefined;
  const report = (reason: string, remedy: string) => {
    problems.push({ key: undefined, value: undefined, source: undefined, reason, remedy });
  };

  for (let at = 0; at < args.length; at++) {
    const argument = args[at] ?? "";
    const match = /^--([^=]+)(?:=(.*))?$/s.exec(argument);
    const key = match?.[1];
    if (key === undefined) {
      report(`The argument "${argument}" is no flag`, "Write --key=value.");
      continue;
    }
    const next = args[at + 1];
    const text = match?.[2] ?? (next?.startsWith("--") ? undefined : next);
    if (match?.[2] === undefined && text !== undefined) at++;
    if (text === undefined) {
      report(`The flag --${key} has no value`, `Write --${key}=value.`);
    } else if (key === "config") {
      configFile = text;
    } else {
      entries.delete(key);
      entries.set(key, { key, text, source: { kind: "flag", flag: `--${key}` } });
    }
  }
  return { entries: [...entries.values()], problems, configFile };
}
