import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { type DevCluster, runProgram, startDevCluster } from "../src/index.ts";
import { testWith } from "../src/outside.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
const pack = join(root, "libs", "tooling", "src", "pack", "pack-client.ts");
/** As in the lock file of this repository. */
const others = ["typescript@5.9.3", "@types/node@24.19.2"];

let cluster: DevCluster;
let folder: string;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 1 });
  folder = mkdtempSync(join(tmpdir(), "tidemark-packed-"));
});

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await cluster.stop();
});

async function mustRun(program: string, args: readonly string[], timeoutMs = 150_000): Promise<string> {
  // Without what this process was started with: npm run puts the repository's own programs first on the PATH.
  const path = (process.env.PATH ?? "").split(":").filter((entry) => !entry.includes("node_modules"));
  const env = { PATH: path.join(":"), NODE_OPTIONS: "" };
  const { code, stdout, stderr } = await runProgram(program, args, { cwd: folder, env, timeoutMs });
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}:\n${stdout.toString()}${stderr}`);
  return stdout.toString();
}

/** A registry that leaves a request without an answer is asked anew: what it gave before is in npm's cache by then. */
async function install(packages: readonly string[]): Promise<void> {
  // Asked again sooner than npm does by itself, which waits for five minutes; and telling which request it was.
  const patience = ["--prefer-offline", "--fetch-timeout=10000", "--fetch-retries=3", "--loglevel=http"];
  const args = ["install", "--no-audit", "--no-fund", ...patience, ...packages];
  const attemptMs = 60_000;
  for (let left = installsMax; left > 1; left--) {
    const failure = await mustRun("npm", args, attemptMs).then(() => undefined, String);
    if (failure === undefined) return;
    process.stderr.write(`npm install failed, and is tried again: ${failure}\n`);
  }
  await mustRun("npm", args, attemptMs);
}

const installsMax = 4;

/** The first program of a language in a page. */
function programIn(page: string, language: string): string {
  const text = readFileSync(join(root, page), "utf8");
  const program = new RegExp(`^\`\`\`${language}\\n(import[\\s\\S]*?)^\`\`\`$`, "m").exec(text)?.[1];
  if (program === undefined) throw new Error(`${page} has no program in ${language}`);
  return program;
}

describe("the SDK, packed and installed in an empty folder elsewhere", () => {
  testWith("npm", "runs the README's program in plain JavaScript, and the typed one of its page", async () => {
    await mustRun(process.execPath, [pack, "--out", join(folder, "packages")]);
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "elsewhere", private: true, type: "module" }));
    const tarballs = readdirSync(join(folder, "packages")).map((name) => `./packages/${name}`);
    await install([...tarballs, ...others]);

    const server = cluster.endpoint("gateway-1");
    writeFileSync(join(folder, "program.js"), programIn("README.md", "js"));
    const told = await mustRun("node", ["program.js", server]);
    expect(told).toContain("[ 'acknowledged', 'acknowledged' ]");
    expect(told.split("\n").filter((line) => /^\d\/\d (?:home|shop)$/.test(line))).toHaveLength(2);

    writeFileSync(join(folder, "typed.ts"), programIn("docs/clients/javascript.md", "ts"));
    const strict = ["--strict", "--target", "es2023", "--module", "nodenext", "--types", "node"];
    await mustRun("npx", ["tsc", ...strict, "typed.ts"]);
    const typed = await mustRun("node", ["typed.js", server]);
    expect(typed.trim().split("\n")).toEqual(["stored at 0/0", "stored at 0/1", "1 record of partition 0, next is 2"]);
  });
});
