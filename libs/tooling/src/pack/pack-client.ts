/**
 * `npm run pack:client -- [--out FOLDER]`: the SDK and the packages of this repository that it needs, as JavaScript with
 * declarations, one tarball each. Installed together they need nothing but what npm's registry has.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../repository.ts";
import { type Manifest, manifestOf } from "./reached-files.ts";
import { workspaces } from "./workspaces.ts";

const sdk = "@tidemark/client";

/** Folders of the SDK and of everything of ours that it depends on, by name. */
function closureOf(name: string): ReadonlyMap<string, string> {
  const all = workspaces();
  const reached = new Map<string, string>();
  const waiting = [name];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const folder = all.get(next);
    if (folder === undefined || reached.has(next)) continue;
    reached.set(next, folder);
    waiting.push(...Object.keys(manifestOf(folder).dependencies ?? {}));
  }
  return reached;
}

/** Sources that are for this repository alone: tests, what they need, and measuring. */
const onlyForUs = /\.test\.ts$|[/\\](?:measure|testing)[/\\]/;

/**
 * Sources of a package. All are named to the compiler: what it reaches through node_modules, as packages of this
 * repository reach each other, it takes for somebody else's and writes nothing for it.
 */
function sourcesOf(folder: string): readonly string[] {
  return ["src", "gen"]
    .map((name) => join(folder, name))
    .filter((path) => existsSync(path))
    .flatMap((path) => filesIn(path).map((file) => join(path, file)))
    .filter((file) => file.endsWith(".ts") && !onlyForUs.test(file));
}

/** Compiles the packages into a folder laid out as the repository is. */
function compile(folders: Iterable<string>, build: string): void {
  const config = join(build, "tsconfig.json");
  const compilerOptions = {
    noEmit: false,
    declaration: true,
    // Node 20 runs what this makes.
    target: "es2023",
    rootDir: root,
    outDir: join(build, "out"),
    types: ["node"],
    typeRoots: [join(root, "node_modules", "@types")],
  };
  const files = [...folders].flatMap(sourcesOf);
  writeFileSync(config, JSON.stringify({ extends: join(root, "tsconfig.base.json"), compilerOptions, files }));
  run(join(root, "node_modules", ".bin", "tsc"), ["-p", config], root);
}

const toJavaScript = (path: string) => path.replace(/\.ts$/, ".js");
const toDeclaration = (path: string) => path.replace(/\.ts$/, ".d.ts");

/** What a package is for npm: its entries that were compiled, and those of its files that are no code. */
function manifestFor(folder: string, compiled: string) {
  const { name, version, exports = {}, dependencies = {} }: Manifest = manifestOf(folder);
  const there = new Set(filesIn(compiled));
  const entries = Object.entries(exports).flatMap(([entry, path]): [string, unknown][] => {
    const file = relative(".", path);
    if (!path.endsWith(".ts")) return [[entry, path]];
    if (!there.has(toJavaScript(file))) return [];
    return [[entry, { types: toDeclaration(path), default: toJavaScript(path) }]];
  });
  return {
    name,
    version,
    description: `Part of the SDK of Tidemark, a replicated commit log.`,
    type: "module",
    engines: { node: ">=20.3" },
    exports: Object.fromEntries(entries),
    dependencies,
  };
}

/** Paths of all files below a folder, relative to it. */
function filesIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8", withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

/** Declarations name the file that is there: not every compiler setting looks for it behind `.ts`. */
function nameDeclarations(folder: string): void {
  for (const file of filesIn(folder)) {
    if (!file.endsWith(".d.ts")) continue;
    const path = join(folder, file);
    writeFileSync(path, readFileSync(path, "utf8").replaceAll(/(["']\.{1,2}\/[^"']*)\.ts(["'])/g, "$1.js$2"));
  }
}

function run(program: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${status}:\n${stdout}${stderr}`);
  return stdout;
}

/** Writes the tarballs into a folder and returns their paths. What was in the folder is gone afterwards. */
function packClient(out: string): readonly string[] {
  const packages = closureOf(sdk);
  const build = mkdtempSync(join(tmpdir(), "tidemark-pack-"));
  try {
    compile(packages.values(), build);
    rmSync(out, { recursive: true, force: true });
    mkdirSync(out, { recursive: true });
    return Array.from(packages, ([, folder]) => {
      const at = join(build, "out", relative(root, folder));
      nameDeclarations(at);
      const manifest = manifestFor(folder, at);
      for (const path of Object.values(manifest.exports)) {
        if (typeof path === "string") copy(join(folder, path), join(at, path));
      }
      writeFileSync(join(at, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
      const [packed] = JSON.parse(run("npm", ["pack", "--json", "--pack-destination", out], at)) as {
        filename: string;
      }[];
      return join(out, packed?.filename ?? "");
    });
  } finally {
    rmSync(build, { recursive: true, force: true });
  }
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to);
}

const { values } = parseArgs({ options: { out: { type: "string" } } });
const out = values.out === undefined ? join(root, "dist", "client-packages") : resolve(values.out);
for (const tarball of packClient(out)) console.log(tarball);
