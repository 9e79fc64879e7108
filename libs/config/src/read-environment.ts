import type { Entry, SourceReading } from "./source.ts";

const prefix = "TIDEMARK_";

/** Variables with the prefix that are no settings: the file's own name, and what tests and tools read. */
const notSettings = [/^TIDEMARK_CONFIG$/, /^TIDEMARK_TEST_/, /^TIDEMARK_REQUIRE$/];

/**
 * What Kubernetes sets in every container for each service of the namespace whose name begins with "tidemark". They
 * cannot be avoided by whoever deploys (short of `enableServiceLinks: false`), so they are no error.
 */
const serviceLinks = [
  /^TIDEMARK_(.+_)?SERVICE_(HOST|PORT|PORT_.+)$/,
  /^TIDEMARK_(.+_)?PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$/,
];

/** `broker.session.timeout.ms` is `TIDEMARK_BROKER_SESSION_TIMEOUT_MS`. */
export function variableOf(key: string): string {
  return prefix + key.toUpperCase().replaceAll(".", "_");
}

/** Settings among the variables of an environment. An empty variable counts as one that is not set. */
export function readEnvironment(environment: Readonly<Record<string, string | undefined>>): SourceReading {
  const entries: Entry[] = [];
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith(prefix) || text === undefined || text === "") continue;
    if ([...notSettings, ...serviceLinks].some((pattern) => pattern.test(variable))) continue;
    const key = variable.slice(prefix.length).toLowerCase().replaceAll("_", ".");
    entries.push({ key, text, source: { kind: "environment", variable } });
  }
  return { entries, problems: [] };
}
