import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const program = (name: string) => fileURLToPath(new URL(name, import.meta.url));

test.each(["throw", "exit"])("every line before a process ends by %s reaches standard error", async (how) => {
  const child = spawn(process.execPath, [program("crashing-program.ts"), how], { stdio: ["ignore", "ignore", "pipe"] });
  let text = "";
  child.stderr.setEncoding("utf8");
  child.stderr.on("data", (chunk: string) => {
    text += chunk;
  });
  await once(child, "close");
  const lines = text.split("\n").filter((line) => line.includes("before the crash"));
  expect(lines).toHaveLength(1000);
  expect(lines.at(-1)).toContain('"line":999');
});

test("a reader who stopped reading does not stop the process", async () => {
  const child = spawn(process.execPath, [program("flooding-program.ts")], { stdio: ["ignore", "pipe", "pipe"] });
  child.stderr.pause();
  const [said] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  expect(said).toBe("still serving\n");
  child.kill("SIGKILL");
  await once(child, "exit");
});
