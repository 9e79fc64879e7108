/** The story of a generated client, and what happens to the cluster while it is told. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { stripVTControlCharacters } from "node:util";
import type { DevCluster } from "../src/index.ts";

interface StoryOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Runs a program that tells a story. Where it prints `kill HOST:PORT` or `start HOST:PORT` this is done with the broker
 * that listens there, and then it is given the line `done`. Resolves with the other lines that it printed; rejects with
 * what it said where it did not end with 0.
 */
export function tellStory(
  cluster: DevCluster,
  program: string,
  args: readonly string[],
  { cwd, env }: StoryOptions = {},
): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
    const lines: string[] = [];
    let complaints = "";
    child.stderr.on("data", (piece: Buffer) => (complaints += piece.toString()));
    // A program that failed reads no answer any more.
    child.stdin.on("error", () => undefined);
    createInterface({ input: child.stdout }).on("line", (coloured) => {
      // Maven resets the colours of a terminal around what a program prints, also where there is none.
      const line = stripVTControlCharacters(coloured);
      if (line === "" && coloured !== "") return;
      const [, wish, endpoint] = /^(kill|start) (\S+:\d+)$/.exec(line) ?? [];
      if (wish === undefined || endpoint === undefined) {
        lines.push(line);
        return;
      }
      fulfil(cluster, wish, endpoint).then(
        () => child.stdin.write("done\n"),
        (error: unknown) => {
          child.kill("SIGKILL");
          reject(error instanceof Error ? error : new Error(`${line} failed`, { cause: error }));
        },
      );
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(lines);
      else reject(new Error(`${program} ${args.join(" ")} ended with ${code}:\n${lines.join("\n")}\n${complaints}`));
    });
  });
}

async function fulfil(cluster: DevCluster, wish: string, endpoint: string): Promise<void> {
  const found = cluster.processes().find(({ endpoints }) => endpoints["client"] === endpoint);
  if (found === undefined) throw new Error(`No process of the cluster listens at ${endpoint}`);
  const name = `${found.role}-${found.id}`;
  await (wish === "kill" ? cluster.kill(name) : cluster.start(name));
}
