import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import ts from "typescript";

/** A package as npm knows it. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly exports?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

/** What a program needs of this repository and of others' packages. */
export interface Reached {
  /** TypeScript files of the repository, by the folder of the package that they belong to. Absolute paths. */
  readonly files: ReadonlyMap<string, ReadonlySet<string>>;
  /** Folders of others' packages that are imported. */
  readonly modules: ReadonlySet<string>;
}

/** Reads the manifest of the package in a folder. */
export function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
}

/** The folder of an installed package as Node finds it from `from`. Undefined: it is not installed. */
export function findModule(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name);
    if (existsSync(join(candidate, "package.json"))) return candidate;
    if (folder === dirname(folder)) return undefined;
  }
}

function packageOf(file: string): string {
  let folder = dirname(file);
  while (!existsSync(join(folder, "package.json"))) folder = dirname(folder);
  return folder;
}

function splitSpecifier(specifier: string): { readonly name: string; readonly entry: string } {
  const parts = specifier.split("/");
  const length = specifier.startsWith("@") ? 2 : 1;
  return { name: parts.slice(0, length).join("/"), entry: [".", ...parts.slice(length)].join("/") };
}

/** Follows imports, also those made while the program runs, from `program` on. Types that only the checker reads do not count. */
export function reachedFrom(program: string, folders: ReadonlyMap<string, string>): Reached {
  const files = new Map<string, Set<string>>();
  const modules = new Set<string>();
  const waiting = [program];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    const owner = packageOf(file);
    const known = files.get(owner) ?? new Set<string>();
    files.set(owner, known);
    if (known.has(file) || !file.endsWith(".ts")) continue;
    known.add(file);
    for (const specifier of importsOf(file)) {
      if (specifier.startsWith("node:")) continue;
      if (specifier.startsWith(".")) {
        waiting.push(join(dirname(file), specifier));
        continue;
      }
      const { name, entry } = splitSpecifier(specifier);
      const own = folders.get(name);
      const target = own === undefined ? undefined : manifestOf(own).exports?.[entry];
      if (own !== undefined && target !== undefined) waiting.push(join(own, target));
      else modules.add(installed(name, file));
    }
  }
  return { files, modules };
}

function installed(name: string, file: string): string {
  const folder = findModule(name, dirname(file));
  if (folder === undefined) throw new Error(`${file} imports ${name}, which is not installed.`);
  return folder;
}

/** What was made of a file already: programs share most of theirs. */
const made = new Map<string, string>();

/** A source as JavaScript: types go, endings of imports change, and nothing else does. */
export function javaScriptOf(file: string): string {
  const known = made.get(file) ?? ts.transpileModule(readFileSync(file, "utf8"), { compilerOptions }).outputText;
  made.set(file, known);
  return known;
}

function importsOf(file: string): readonly string[] {
  return ts
    .preProcessFile(javaScriptOf(file), true, true)
    .importedFiles.map(({ fileName }) => (fileName.startsWith(".") ? fileName.replace(/\.js$/, ".ts") : fileName));
}

const compilerOptions: ts.CompilerOptions = {
  target: ts.ScriptTarget.ESNext,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
};
