import { variableOf } from "./read-environment.ts";
import { shownValue } from "./resolve.ts";
import type { SchemaShape } from "./schema.ts";
import type { Setting } from "./setting.ts";

/** What `--help` of a process says: every setting by its key, with its form, its default and what it decides. */
export function helpText(schema: SchemaShape): string {
  const settings = Object.entries(schema.settings).sort(([left], [right]) => (left < right ? -1 : 1));
  return [
    `Settings of a ${schema.name}: in a file of YAML (--config FILE, or TIDEMARK_CONFIG, or tidemark.yaml where there is one),`,
    "as variables, or as flags. A flag goes before a variable, a variable before the file. For example:",
    `  --node.id=1  or  ${variableOf("node.id")}=1  or  node.id: 1`,
    "OTEL_* variables configure traces and metrics as OpenTelemetry's standard says.",
    ...settings.flatMap(([key, setting]) => [
      "",
      `  ${key} (${presence(schema, key, setting)})`,
      `      ${setting.doc}`,
    ]),
  ].join("\n");
}

function presence(schema: SchemaShape, key: string, setting: Setting<unknown>): string {
  const { form } = setting.kind;
  if (setting.presence === "required") return `required: ${form}`;
  if (setting.presence === "optional") return form;
  const value = shownValue(schema, key, setting.default);
  return `${form}; default ${value === "" ? "none" : value}`;
}
