/** Programs of others that read the files of this folder. Each comes once, by the client of its registry, and is kept. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mustRun } from "@tidemark/testkit";
import { deploy } from "../src/manifests.ts";

/** Where tools that were made once are kept. */
const kept = join(deploy, "..", ".interop", "bin");

/** Gives a fresh folder to `work`, and removes it. */
export async function withFolder<Result>(work: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), "tidemark-deploy-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Moved to its place in one step, so that nobody finds half of a program. */
function keep(program: string, as: string): void {
  mkdirSync(kept, { recursive: true });
  copyFileSync(program, `${as}.${process.pid}`);
  renameSync(`${as}.${process.pid}`, as);
}

/** What is being made, or could not be: who needs it too does not wait as long once more. */
const made = new Map<string, Promise<string>>();

function getOnce(name: string, make: (folder: string) => Promise<string>): Promise<string> {
  const promise = made.get(name) ?? makeOnce(name, make);
  made.set(name, promise);
  return promise;
}

async function makeOnce(name: string, make: (folder: string) => Promise<string>): Promise<string> {
  const path = join(kept, name);
  if (existsSync(path)) return path;
  try {
    await withFolder(async (folder) => keep(await make(folder), path));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`There is no ${name}, and it could not be made. ${reason}`, { cause: error });
  }
  return path;
}

/** Below the time that a test has, so that the error says what took so long. */
const buildMsMax = 540_000;

const installed =
  (module: string, program: string, timeoutMs = buildMsMax) =>
  async (folder: string) => {
    await mustRun("go", ["install", module], { env: { GOBIN: folder }, timeoutMs });
    return join(folder, program);
  };

/** Draws a folder of manifests together, as `kubectl apply -k` does. */
export const needKustomize = () =>
  getOnce("kustomize-5.7.1", installed("sigs.k8s.io/kustomize/kustomize/v5@v5.7.1", "kustomize"));

/** The Go toolchain compiles much of Kubernetes for it: what a test that needs it is given, in milliseconds. */
export const kubectlValidateMs = 1_500_000;

/** Knows the schemas of Kubernetes, and what its API server checks beyond them. */
export const needKubectlValidate = () =>
  getOnce(
    "kubectl-validate-0.0.4",
    installed("sigs.k8s.io/kubectl-validate@v0.0.4", "kubectl-validate", kubectlValidateMs - 60_000),
  );

/** The loader that Docker's compose is made with. */
export const needCompose = () =>
  getOnce("compose-2.16.2", async (folder) => {
    const program = join(folder, "compose");
    const cwd = join(deploy, "interop", "compose");
    await mustRun("go", ["build", "-o", program, "."], { cwd, timeoutMs: buildMsMax });
    return program;
  });

/** Debian's, unpacked and not installed: no service starts. */
export const needPromtool = () =>
  getOnce("promtool", async (folder) => {
    const download = () => mustRun("apt-get", ["download", "prometheus"], { cwd: folder });
    try {
      await download();
    } catch {
      // A machine that never asked for a list of packages has none.
      await mustRun("apt-get", ["update"]);
      await download();
    }
    const [archive = ""] = readdirSync(folder).filter((name) => name.endsWith(".deb"));
    await mustRun("dpkg-deb", ["-x", archive, "unpacked"], { cwd: folder });
    return join(folder, "unpacked", "usr", "bin", "promtool");
  });
