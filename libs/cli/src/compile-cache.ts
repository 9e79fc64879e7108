import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Where Node keeps what it made of the sources, so that a process starts in about half the time. Entries go by what the
 * source says, so an old one is never used for a changed file.
 */
export const compileCacheFolder = join(
  dirname(fileURLToPath(import.meta.url)),
  ..."../../../node_modules/.cache/node-compile".split("/"),
);
