import { chmodSync, cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { root } from "../repository.ts";
import { withDependencies } from "./installed-modules.ts";
import { javaScriptOf, type Manifest, manifestOf, reachedFrom } from "./reached-files.ts";
import { workspaces } from "./workspaces.ts";

/** Folders of the programs that can be packed: the services, and the command line that formats and asks them. */
export const programs = {
  broker: "services/broker",
  controller: "services/controller",
  gateway: "services/gateway",
  cli: "libs/cli",
} as const;
export type Program = keyof typeof programs;

/** Where a program is packed unless somebody says otherwise: images copy that folder. */
export function packedFolder(program: Program): string {
  return join(root, "dist", program);
}

/** Types, maps and papers: half of the bytes, and no program reads them. Licenses stay. */
const onlyForPeople = /\.(?:map|d\.[cm]?ts|tsbuildinfo|md|markdown)$/;

const toJavaScript = (file: string) => file.replace(/\.ts$/, ".js");

/**
 * Writes a folder that Node runs with nothing else: `node src/main.js`. It holds the program's sources as JavaScript,
 * those files of the other packages that it reaches, and others' packages that it needs, with binaries of this
 * platform. What was in the folder is gone afterwards.
 */
export function packProgram(program: Program, out: string): void {
  const own = join(root, programs[program]);
  const { files, modules } = reachedFrom(join(own, "src", "main.ts"), workspaces());
  rmSync(out, { recursive: true, force: true });
  for (const [folder, reached] of files) {
    const target = folder === own ? out : join(out, "node_modules", manifestOf(folder).name);
    for (const file of reached) write(join(target, toJavaScript(relative(folder, file))), javaScriptOf(file));
    const assets = assetsOf(folder);
    for (const asset of assets) copy(join(folder, asset), join(target, asset));
    write(
      join(target, "package.json"),
      `${JSON.stringify(packed(manifestOf(folder), reached, folder), undefined, 2)}\n`,
    );
  }
  for (const folder of withDependencies(modules)) {
    // A package inside of another one is copied where something needs it.
    const nested = join(folder, "node_modules");
    const isNeeded = (path: string) => path !== nested && !onlyForPeople.test(path);
    cpSync(folder, join(out, placeOf(folder)), { recursive: true, dereference: true, filter: isNeeded });
  }
  letAnybodyRead(out);
}

/** Images run as nobody in particular, and an image's files keep the rights that they had here: by the mask of whoever packed. */
function letAnybodyRead(out: string): void {
  chmodSync(out, 0o755);
  for (const entry of readdirSync(out, { recursive: true, withFileTypes: true }))
    chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644);
}

/** What a package exports beside code: the protos' image. */
function assetsOf(folder: string): readonly string[] {
  return Object.values(manifestOf(folder).exports ?? {}).filter((path) => !/\.m?[jt]s$/.test(path));
}

function packed(
  { name, version, exports = {}, dependencies = {} }: Manifest,
  reached: ReadonlySet<string>,
  folder: string,
) {
  const kept = Object.entries(exports).filter(([, path]) => !path.endsWith(".ts") || reached.has(join(folder, path)));
  return {
    name,
    version,
    private: true,
    type: "module",
    exports: Object.fromEntries(kept.map(([entry, path]) => [entry, toJavaScript(path)])),
    dependencies,
  };
}

/** Where an installed package goes: as it lies here, those that a workspace has for itself within that workspace. */
function placeOf(folder: string): string {
  const at = relative(root, folder);
  if (at.startsWith("node_modules")) return at;
  const [, workspace = "", rest = ""] = /^((?:libs|services)\/[^/]+|proto)\/(.*)$/.exec(at) ?? [];
  return join("node_modules", manifestOf(join(root, workspace)).name, rest);
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to);
}
