import { formatProblems, readSources, type Schema, type Settings, type Values } from "@tidemark/config";

/** Settings as a process gets them by its flags, through the same checks. Throws where it would refuse to start. */
export function valuesOf<Of extends Settings>(
  schema: Schema<Of>,
  given: Readonly<Record<string, string | number | boolean>>,
): Values<Of> {
  const flags = Object.entries(given).map(([key, value]) => `--${key}=${value}`);
  const read = readSources(schema, { file: undefined, environment: {}, flags, baseDirectory: "/" });
  if (!read.ok) throw new Error(formatProblems(read.problems));
  return read.config.values;
}
