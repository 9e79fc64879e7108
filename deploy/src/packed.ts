/** The programs as their images hold them, in a folder that nobody in particular may read. */
import { chmodSync, copyFileSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Program, packProgram, programs } from "@tidemark/tooling/pack";

export interface Packed {
  /** Holds everything; to be removed by whoever asked. */
  readonly folder: string;
  readonly node: string;
  main(program: Program): string;
}

/** Packs every program, and Node beside them, so that none of the repository is needed to run them. */
export function packAll(): Packed {
  const folder = mkdtempSync(join(tmpdir(), "tidemark-packed-"));
  chmodSync(folder, 0o755);
  const node = join(folder, "node");
  copyFileSync(process.execPath, node);
  chmodSync(node, 0o755);
  // As somebody packs whose files are nobody else's business.
  const mask = process.umask(0o077);
  try {
    for (const program of Object.keys(programs) as Program[]) packProgram(program, join(folder, program));
  } finally {
    process.umask(mask);
  }
  return { folder, node, main: (program) => join(folder, program, "src", "main.js") };
}
