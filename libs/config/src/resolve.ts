import type { ParseContext } from "./kind.ts";
import { nearestKey } from "./nearest.ts";
import { variableOf } from "./read-environment.ts";
import { type Finding, type Rule, type Schema, type SchemaShape, settingOf } from "./schema.ts";
import type { Setting, Settings, Values } from "./setting.ts";
import { type Entry, formatSource, masked, type Problem, type Source, type SourceReading } from "./source.ts";

/** Settings that a process can run with. */
export interface Config<Of extends Settings> {
  readonly schema: Schema<Of>;
  readonly values: Values<Of>;
  readonly origins: Readonly<Record<keyof Of & string, Source>>;
  /** Allowed, but to be logged at each start. */
  readonly warnings: readonly Problem[];
  /** Keys of other kinds of process in a shared file or environment: known, and without effect here. */
  readonly ignored: readonly { readonly key: string; readonly source: Source }[];
}

export type Resolved<Of extends Settings> =
  | { readonly ok: true; readonly config: Config<Of> }
  /** Every problem there is, never only the first. */
  | { readonly ok: false; readonly problems: readonly Problem[] };

/**
 * Makes typed values of what the sources say.
 *
 * `readings` stand in rising order: a later source overrides an earlier one. `foreignKeys` are the keys of the other
 * schemas: in a file or an environment, which several processes share, they are passed over; as a flag, which
 * speaks to one process, they are an error.
 */
export function resolveConfig<Of extends Settings>(
  schema: Schema<Of>,
  given: {
    readonly readings: readonly SourceReading[];
    readonly foreignKeys: readonly string[];
    readonly context: ParseContext;
  },
): Resolved<Of> {
  const problems = given.readings.flatMap((reading) => reading.problems);
  const foreign = new Set(given.foreignKeys);
  const ignored: { key: string; source: Source }[] = [];
  const chosen = new Map<string, Entry>();
  for (const reading of given.readings) {
    const seen = new Map<string, Entry>();
    for (const entry of reading.entries) {
      if (settingOf(schema, entry.key) === undefined) {
        if (foreign.has(entry.key) && entry.source.kind !== "flag") ignored.push(entry);
        else problems.push(unknownKey(schema, entry, foreign));
        continue;
      }
      const earlier = seen.get(entry.key);
      if (earlier !== undefined) problems.push(givenTwice(schema, entry, earlier));
      seen.set(entry.key, entry);
      chosen.set(entry.key, entry);
    }
  }

  const values: Record<string, unknown> = {};
  const origins: Record<string, Source> = {};
  for (const [key, setting] of Object.entries<Setting<unknown>>(schema.settings)) {
    const entry = chosen.get(key);
    origins[key] = entry?.source ?? { kind: "default" };
    if (entry !== undefined) {
      const parsed = setting.kind.parse(entry.text, given.context);
      if (parsed.ok) values[key] = parsed.value;
      else problems.push(malformed(setting, entry, parsed.reason));
    } else if (setting.presence === "required") {
      problems.push(missing(key, setting));
    } else values[key] = setting.presence === "defaulted" ? setting.default : undefined;
  }

  const findings = runRules(schema.rules, values as Values<Of>);
  const toProblem = (finding: Finding) => disagreement(schema, finding, values, origins);
  problems.push(...findings.filter(({ severity }) => severity === "error").map(toProblem));
  if (problems.length > 0) return { ok: false, problems };
  const warnings = findings.filter(({ severity }) => severity === "warning").map(toProblem);
  // Every key of the schema has its value and its origin now: the loop above went over all of them.
  const config = { schema, values, origins, warnings, ignored } as unknown as Config<Of>;
  return { ok: true, config };
}

function runRules<Given extends object>(rules: readonly Rule<Given>[], values: Given): readonly Finding[] {
  return rules.filter(({ needs }) => needs.every((key) => key in values)).flatMap((rule) => rule.check(values));
}

function unknownKey(schema: SchemaShape, { key, source }: Entry, foreign: ReadonlySet<string>): Problem {
  const base = { key, value: masked, source };
  if (foreign.has(key)) {
    return { ...base, reason: `is no setting of a ${schema.name}`, remedy: "Give it to the process it belongs to." };
  }
  const nearest = nearestKey(key, Object.keys(schema.settings));
  const name = source.kind === "environment" ? variableOf(nearest ?? "") : nearest;
  return { ...base, reason: "is not a known setting", remedy: `The nearest one is ${name}.` };
}

function givenTwice(schema: SchemaShape, entry: Entry, earlier: Entry): Problem {
  const shown = settingOf(schema, entry.key)?.sensitive === true ? masked : entry.text;
  const reason = `stands there for the second time, after ${formatSource(earlier.source)}`;
  return { key: entry.key, value: shown, source: entry.source, reason, remedy: "Keep one of the two." };
}

function malformed(setting: Setting<unknown>, { key, text, source }: Entry, reason: string): Problem {
  // The reason may quote the value, so a secret gets none.
  const safe = setting.sensitive ? "does not have the form it must have" : reason;
  return { key, value: setting.sensitive ? masked : text, source, reason: safe, remedy: `Write ${setting.kind.form}.` };
}

function missing(key: string, setting: Setting<unknown>): Problem {
  const remedy = `Give ${setting.kind.form}: in the file, as ${variableOf(key)}, or as --${key}=... (${setting.doc})`;
  return { key, value: undefined, source: undefined, reason: "is required and not given", remedy };
}

function disagreement(
  schema: SchemaShape,
  { keys, reason, remedy }: Finding,
  values: Readonly<Record<string, unknown>>,
  origins: Readonly<Record<string, Source>>,
): Problem {
  const [key, ...others] = keys;
  const beside = others.map((other) => {
    const source = origins[other];
    return `${other} = "${shownValue(schema, other, values[other])}" (${source === undefined ? "" : formatSource(source)})`;
  });
  return {
    key,
    value: key === undefined ? undefined : shownValue(schema, key, values[key]),
    source: key === undefined ? undefined : origins[key],
    reason: beside.length === 0 ? reason : `${reason}; beside it ${beside.join(", ")}`,
    remedy,
  };
}

/** A value as people may see it: "***" for a secret, "" for one that is not set. */
export function shownValue(schema: SchemaShape, key: string, value: unknown): string {
  const setting = settingOf(schema, key);
  if (setting === undefined || value === undefined) return "";
  return setting.sensitive ? masked : setting.kind.format(value);
}
