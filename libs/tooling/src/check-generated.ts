/** Generates the protobuf code anew, elsewhere, and compares it with what is checked in. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./repository.ts";
import { runCommand } from "./run-command.ts";

const checkedIn = join(root, "proto", "gen");
const fresh = mkdtempSync(join(tmpdir(), "tidemark-generated-"));

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

try {
  const generated =
    (await runCommand("buf", ["generate", "proto", "--template", "proto/buf.gen.yaml", "-o", fresh])) ||
    (await runCommand("buf", ["build", "proto", "-o", join(fresh, "gen", "image.binpb"), "--as-file-descriptor-set"]));
  if (generated !== 0) process.exit(generated);
  const [before, after] = [files(checkedIn), files(join(fresh, "gen"))];
  const differing = [...new Set([...before, ...after])].filter(
    (name) =>
      !before.includes(name) ||
      !after.includes(name) ||
      !readFileSync(join(checkedIn, name)).equals(readFileSync(join(fresh, "gen", name))),
  );
  for (const name of differing) console.error(`proto/gen/${name} is not what the protos say`);
  if (differing.length > 0) {
    console.error("`npm run fix` generates it anew.");
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true });
}
