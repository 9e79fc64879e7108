import { findModule, manifestOf } from "./reached-files.ts";

/**
 * Folders of others' packages that `modules` need to run, themselves included. Optional ones count where they are
 * installed, so binaries are those of this platform.
 */
export function withDependencies(modules: Iterable<string>): ReadonlySet<string> {
  const needed = new Set<string>();
  const waiting = [...modules];
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    if (needed.has(folder)) continue;
    needed.add(folder);
    const {
      dependencies = {},
      optionalDependencies = {},
      peerDependencies = {},
      peerDependenciesMeta = {},
    } = manifestOf(folder);
    for (const name of Object.keys({ ...peerDependencies, ...optionalDependencies, ...dependencies })) {
      const found = findModule(name, folder);
      const isOptional = name in optionalDependencies || peerDependenciesMeta[name]?.optional === true;
      if (found === undefined && !isOptional) throw new Error(`${folder} needs ${name}, which is not installed.`);
      // An optional peer that something else brought here is used only if someone else needs it.
      if (found !== undefined && peerDependenciesMeta[name]?.optional !== true) waiting.push(found);
    }
  }
  return needed;
}
