/** Packages whose lines the simulator is to reach: the protocol's cores and their drivers. */
const packages = ["libs/replication", "libs/metadata", "libs/log", "services/broker", "services/controller"] as const;

/** What of them is left out, and why. Nothing of a core's rules is. */
export const leftOut: readonly { readonly what: string; readonly reason: string; readonly pattern: RegExp }[] = [
  { what: "*.test.ts", reason: "tests", pattern: /\.test\.ts$/ },
  { what: "testing/, simulation/", reason: "what tests are made of", pattern: /\/(?:testing|simulation)\// },
  {
    what: "libs/log/src/dump/",
    reason: "reads logs offline, for the command line",
    pattern: /^libs\/log\/src\/dump\//,
  },
  { what: "main.ts", reason: "the program around the factory that the simulator calls", pattern: /\/main\.ts$/ },
  {
    what: "tracing/, *-trace.ts",
    reason: "adapters to OpenTelemetry: nobody samples here, and tests hold the spans against a receiver",
    pattern: /\/tracing\/|-trace\.ts$/,
  },
];

/** Folders of the sources that the simulator is to reach. */
export const provenFolders: readonly string[] = packages.map((name) => `${name}/src`);

/** Whether the lines of a source count, by its path from the root of the repository. */
export function isProven(path: string): boolean {
  return (
    provenFolders.some((folder) => path.startsWith(`${folder}/`)) && !leftOut.some(({ pattern }) => pattern.test(path))
  );
}
