/** The story of a generated client, and what happens to the cluster while it is told. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { DevCluster } from "../src/index.ts";

export interface StoryOptions {
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
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [, wish, endpoint] = /\b(kill|start) (\S+:\d+)$/.exec(line) ?? [];
      if (wish === undefined || endpoint === undefined) {
        lines.push(line);
        return;
      }
      const broker = brokerAt(cluster, endpoint);
      const done = wish === "kill" ? cluster.kill(broker) : cluster.start(broker);
      done.then(
        () => child.stdin.write("done\n"),
        (error: unknown) => {
          child.kill("SIGKILL");
          reject(error instanceof Error ? error : new Error(`${wish} ${broker} failed`, { cause: error }));
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

function brokerAt(cluster: DevCluster, endpoint: string): string {
  const found = cluster.processes().find(({ endpoints }) => endpoints["client"] === endpoint);
  if (found === undefined) throw new Error(`No process of the cluster listens at ${endpoint}`);
  return `${found.role}-${found.id}`;
}
