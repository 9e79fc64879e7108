// Plain JavaScript for any Node from 20 on: it runs before anything is installed.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

/** Node's own folder in `node_modules`, by platform: the version that the project pins. */
const pinned = join(root, "node_modules", `node-${process.platform}-${process.arch}`, "bin", "node");

/** Installs by the lock file when `node_modules` is missing or older than it. Ends the process when that fails. */
export function ensureInstalled() {
  const installed = join(root, "node_modules", ".package-lock.json");
  const lock = join(root, "package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  process.stderr.write("Installing what package-lock.json names (once) ...\n");
  const npm = process.env.npm_execpath
    ? [process.execPath, process.env.npm_execpath]
    : [process.platform === "win32" ? "npm.cmd" : "npm"];
  const result = spawnSync(npm[0], [...npm.slice(1), "ci", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (result.status !== 0) {
    process.stderr.write("The install failed; `npm ci` in this folder shows why.\n");
    process.exit(result.status ?? 1);
  }
}

/** The Node that the project pins, or this one where the platform has no such package and it is new enough. */
export function projectNode() {
  if (existsSync(pinned)) return pinned;
  if (Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
  process.stderr.write(
    `There is no pinned Node for ${process.platform}-${process.arch}, and this one is ${process.version}: use Node 24.\n`,
  );
  process.exit(1);
}

/** Whether this process runs under the Node that `projectNode` would choose. */
export function isProjectNode() {
  if (existsSync(pinned)) return realpathSync(process.execPath) === realpathSync(pinned);
  return Number(process.versions.node.split(".")[0]) >= 24;
}

/** Installs what is missing, then runs a TypeScript file of the repository under the project's Node. */
export function runUnderProjectNode(file, args) {
  ensureInstalled();
  runProgramUnderProjectNode(file, args);
}

/** Runs a TypeScript file of the repository under the project's Node, passes signals on, and ends as it ended. */
export function runProgramUnderProjectNode(file, args) {
  const node = projectNode();
  const child = spawn(node, [join(root, file), ...args], {
    stdio: "inherit",
    env: { ...process.env, PATH: `${dirname(node)}:${join(root, "node_modules", ".bin")}:${process.env.PATH}` },
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(signal === null ? code : 1));
}
