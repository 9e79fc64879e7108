import { globSync } from "node:fs";
import { join } from "node:path";
import { root } from "../repository.ts";
import { manifestOf } from "./reached-files.ts";

/** Folders of the packages of this repository, by name. */
export function workspaces(): ReadonlyMap<string, string> {
  const folders = [
    "proto",
    ...globSync("{libs,services}/*/package.json", { cwd: root }).map((file) => join(file, "..")),
  ];
  return new Map(folders.map((folder) => [manifestOf(join(root, folder)).name, join(root, folder)]));
}
