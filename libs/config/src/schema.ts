import type { Setting, Settings, Values } from "./setting.ts";

/** What a rule found: it names the keys, and the report adds their values and where those came from. */
export interface Finding {
  /** The keys that disagree. The first one is the one to change. */
  readonly keys: readonly string[];
  readonly reason: string;
  readonly remedy: string;
  /** "error" keeps the process from starting, "warning" is logged at each start. */
  readonly severity: "error" | "warning";
}

/** A relation between several settings. It runs only when every key of `needs` has a valid value. */
export interface Rule<Given> {
  readonly needs: readonly (keyof Given & string)[];
  /** Method for the compiler's sake: a rule over fewer keys serves every schema that has them. */
  check(values: Given): readonly Finding[];
}

/** What is known of a schema when its keys do not matter. */
export interface SchemaShape {
  /** As in "no setting of a broker": broker, controller, gateway, client, topic. */
  readonly name: string;
  readonly settings: Settings;
}

/** What one kind of process can be told. */
export interface Schema<Of extends Settings> extends SchemaShape {
  readonly settings: Of;
  readonly rules: readonly Rule<Values<Of>>[];
}

/** The setting of a key. Undefined where the schema has none. */
export function settingOf(schema: SchemaShape, key: string): Setting<unknown> | undefined {
  return Object.hasOwn(schema.settings, key) ? schema.settings[key] : undefined;
}

export function createSchema<Of extends Settings>(
  name: string,
  settings: Of,
  rules: readonly Rule<NoInfer<Values<Of>>>[],
): Schema<Of> {
  return { name, settings, rules };
}
