/**
 * A Jaeger binary for tests. In this order: `JAEGER_BIN`, one that was kept before, and, only where `JAEGER_BUILD=yes`
 * asks for it, one that Go builds from the module: that takes many minutes and a few gigabytes, once.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

const module = "github.com/jaegertracing/jaeger";
/** The latest that the module's registry serves; it holds the program of Jaeger 2. */
const version = "1.76.0";

export type JaegerBinary =
  | { readonly kind: "there"; readonly path: string }
  | { readonly kind: "absent"; readonly why: string };

export function getJaegerBinary(env: NodeJS.ProcessEnv = process.env): JaegerBinary {
  const given = env["JAEGER_BIN"];
  if (given !== undefined && given !== "") {
    if (!existsSync(given)) throw new Error(`JAEGER_BIN names no file: ${given}`);
    return { kind: "there", path: given };
  }
  const cache = join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "tidemark-tools");
  const kept = join(cache, `jaeger-${version}`);
  if (existsSync(kept)) return { kind: "there", path: kept };
  if (env["JAEGER_BUILD"] !== "yes") {
    return { kind: "absent", why: `set JAEGER_BIN, or let \`npm run test:jaeger\` build ${module}@v${version} once` };
  }
  build(cache, kept);
  return { kind: "there", path: kept };
}

/** The module names replacements, so it can only be built from a copy of its own, as its main module. */
function build(cache: string, kept: string): void {
  const scratch = mkdtempSync(join(tmpdir(), "tidemark-jaeger-"));
  try {
    process.stderr.write(`Building Jaeger from ${module}@v${version}: many minutes, once\n`);
    const run = (args: readonly string[], cwd: string) =>
      execFileSync("go", args, { cwd, stdio: ["ignore", "pipe", "inherit"] }).toString();
    const { Dir } = JSON.parse(run(["mod", "download", "-json", `${module}@v${version}`], scratch)) as { Dir: string };
    const source = join(scratch, "source");
    cpSync(Dir, source, { recursive: true });
    execFileSync("chmod", ["-R", "u+w", source]);
    run(["build", "-o", join(scratch, "jaeger"), "./cmd/jaeger"], source);
    mkdirSync(cache, { recursive: true });
    copyFileSync(join(scratch, "jaeger"), `${kept}.${process.pid}`);
    chmodSync(`${kept}.${process.pid}`, 0o755);
    renameSync(`${kept}.${process.pid}`, kept);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
