import {
  brokerSchema,
  controllerSchema,
  gatewaySchema,
  readSources,
  type Schema,
  type Settings,
} from "@tidemark/config";
import type { Role } from "./manifests.ts";

const schemas = { broker: brokerSchema, controller: controllerSchema, gateway: gatewaySchema };

/** The settings that a service would read from an environment. Throws everything that it would complain about. */
export function settingsFrom(
  role: Role,
  environment: Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> {
  const schema = schemas[role] as unknown as Schema<Settings>;
  const read = readSources(schema, { file: undefined, environment, flags: [], baseDirectory: "/" });
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  return read.config.values;
}
