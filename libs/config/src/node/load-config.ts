import { readFileSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import process from "node:process";
import { readFlags } from "../read-flags.ts";
import { readSources, type Sources } from "../read-sources.ts";
import type { Resolved } from "../resolve.ts";
import type { Schema } from "../schema.ts";
import type { Settings } from "../setting.ts";
import type { Problem } from "../source.ts";

/** Read in the working directory when nothing names another file; it may be missing. */
const defaultFile = "tidemark.yaml";

/** What a process is made of: the real one unless a test gives another. */
export interface ProcessInputs {
  /** Arguments, without the names of the program. */
  readonly flags: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Absolute. */
  readonly workingDirectory: string;
}

export function processInputs(flags: readonly string[] = process.argv.slice(2)): ProcessInputs {
  return { flags, environment: process.env, workingDirectory: process.cwd() };
}

/**
 * The settings of this process, from `--config FILE` (or TIDEMARK_CONFIG, or `tidemark.yaml` where there is one), the
 * environment and the flags, in rising order.
 */
export function loadConfig<Of extends Settings>(schema: Schema<Of>, inputs = processInputs()): Resolved<Of> {
  const file = readConfigFile(inputs);
  const sources: Omit<Sources, "file"> = {
    environment: inputs.environment,
    flags: inputs.flags,
    baseDirectory: inputs.workingDirectory,
  };
  if (file.ok) return readSources(schema, { ...sources, file: file.value });
  const rest = readSources(schema, { ...sources, file: undefined });
  // A required setting may stand in the file that could not be read, so only what other sources say is reported.
  const others = rest.ok ? [] : rest.problems.filter(({ source }) => source !== undefined && source.kind !== "default");
  return { ok: false, problems: [file.problem, ...others] };
}

/** The variables that configure OpenTelemetry, as its standard names them. */
export function otelEnvironment(inputs = processInputs()): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(Object.entries(inputs.environment).filter(([name]) => name.startsWith("OTEL_")));
}

type FileReading =
  | { readonly ok: true; readonly value: Sources["file"] }
  | { readonly ok: false; readonly problem: Problem };

function readConfigFile({ flags, environment, workingDirectory }: ProcessInputs): FileReading {
  const variable = environment.TIDEMARK_CONFIG === "" ? undefined : environment.TIDEMARK_CONFIG;
  const named = readFlags(flags).configFile ?? variable;
  const name = named ?? defaultFile;
  try {
    const text = readFileSync(isAbsolute(name) ? name : resolve(workingDirectory, name), "utf8");
    return { ok: true, value: { name, text } };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    if (named === undefined && code === "ENOENT") return { ok: true, value: undefined };
    const reason = `The file of settings "${name}" cannot be read (${code})`;
    const remedy = "Name another with --config FILE or TIDEMARK_CONFIG.";
    return { ok: false, problem: { key: undefined, value: undefined, source: undefined, reason, remedy } };
  }
}
