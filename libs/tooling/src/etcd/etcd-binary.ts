/**
 * An etcd binary for tests and for clusters on one's own machine. In this order: `ETCD_BIN`, one that was kept before,
 * then each of `ways`. What was got is kept outside of the repository, so that it is got once.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { type Way, ways } from "./ways.ts";

export interface EtcdBinary {
  readonly path: string;
  /** Which way it came: ETCD_BIN, kept, or the name of a way. */
  readonly way: string;
  /** As the binary says it: 3.6.15. */
  readonly version: string;
}

export interface EtcdBinaryOptions {
  /** One line for each way that was tried. Defaults to standard error. */
  readonly report?: (line: string) => void;
  /**
   * The binary will be killed. 3.5.0 to 3.5.2 are refused: etcd's own maintainers call them inconsistent behind a crash.
   */
  readonly forCrashes?: boolean;
  /** Where binaries are kept. Defaults to the user's cache folder. */
  readonly cache?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly ways?: readonly Way[];
}

const inconsistentAfterCrashes = /^3\.5\.[0-2]$/;

/** Gets one. Throws an error that says what each way ended in. */
export function getEtcdBinary(options: EtcdBinaryOptions = {}): EtcdBinary {
  const { env = process.env } = options;
  const report = options.report ?? ((line: string) => process.stderr.write(`${line}\n`));
  const cache = options.cache ?? join(env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "tidemark-tools");
  const tried: string[] = [];
  const attempt = (way: string, get: () => string): EtcdBinary | undefined => {
    try {
      const path = get();
      const version = versionOf(path);
      if (options.forCrashes === true && inconsistentAfterCrashes.test(version)) {
        throw new Error(`etcd ${version} may lose data in a crash by a fault of its own, and is not killed here`);
      }
      report(`etcd ${version} by ${way}: ${path}`);
      return { path, way, version };
    } catch (error) {
      tried.push(`${way}: ${lastLine(error)}`);
      report(`No etcd by ${way}: ${lastLine(error)}`);
      return undefined;
    }
  };

  const given = env.ETCD_BIN;
  if (given !== undefined && given !== "") {
    const found = attempt("ETCD_BIN", () => given);
    if (found === undefined) throw new Error(`ETCD_BIN names no etcd that can be used here: ${tried.join("; ")}`);
    return found;
  }
  const all = options.ways ?? ways;
  for (const { version } of all) {
    const path = join(cache, `etcd-${version}`);
    const found = existsSync(path) ? attempt("an earlier run", () => path) : undefined;
    if (found !== undefined) return found;
  }
  for (const way of all) {
    const found = attempt(way.name, () => keep(way, cache));
    if (found !== undefined) return found;
  }
  throw new Error(`No etcd could be had. Set ETCD_BIN to a binary of 3.4 or later.\n${tried.join("\n")}`);
}

/** Gets the binary and moves it to its place in one step, so that nobody finds half of one. */
function keep(way: Way, cache: string): string {
  const scratch = mkdtempSync(join(tmpdir(), "tidemark-etcd-"));
  try {
    const binary = way.get(scratch);
    mkdirSync(cache, { recursive: true });
    const kept = join(cache, `etcd-${way.version}`);
    const partial = `${kept}.${process.pid}`;
    copyFileSync(binary, partial);
    chmodSync(partial, 0o755);
    renameSync(partial, kept);
    return kept;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function versionOf(path: string): string {
  const text = execFileSync(path, ["--version"], { stdio: ["ignore", "pipe", "pipe"] }).toString();
  const version = /^etcd Version: (\S+)/m.exec(text)?.[1];
  if (version === undefined) throw new Error(`${path} does not say which etcd it is`);
  return version;
}

function lastLine(error: unknown): string {
  const { stderr, message } = error as { stderr?: Buffer; message?: string };
  const text = stderr !== undefined && stderr.length > 0 ? stderr.toString() : (message ?? String(error));
  return text.trim().split("\n").at(-1)?.slice(0, 200) ?? "";
}
