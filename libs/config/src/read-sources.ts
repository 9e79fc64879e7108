import { readEnvironment } from "./read-environment.ts";
import { readFlags } from "./read-flags.ts";
import { readYaml } from "./read-yaml.ts";
import { type Resolved, resolveConfig } from "./resolve.ts";
import type { Schema } from "./schema.ts";
import { brokerSchema } from "./services/broker.ts";
import { clientSchema } from "./services/client.ts";
import { controllerSchema } from "./services/controller.ts";
import { gatewaySchema } from "./services/gateway.ts";
import type { Settings } from "./setting.ts";

/** What a process is given, as plain values. */
export interface Sources {
  readonly file: { readonly name: string; readonly text: string } | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Arguments, without the names of the program. */
  readonly flags: readonly string[];
  /** Absolute directory that relative paths start from. */
  readonly baseDirectory: string;
}

/** Makes the settings of one process out of its sources: file, environment, flags, the last wins. */
export function readSources<Of extends Settings>(schema: Schema<Of>, sources: Sources): Resolved<Of> {
  const file = sources.file === undefined ? [] : [readYaml(sources.file)];
  return resolveConfig(schema, {
    readings: [...file, readEnvironment(sources.environment), readFlags(sources.flags)],
    foreignKeys: knownKeys.filter((key) => !Object.hasOwn(schema.settings, key)),
    context: { baseDirectory: sources.baseDirectory },
  });
}

/** Keys of every kind of process: the kinds share files and environments. */
const knownKeys: readonly string[] = [brokerSchema, controllerSchema, gatewaySchema, clientSchema].flatMap((schema) =>
  Object.keys(schema.settings),
);
