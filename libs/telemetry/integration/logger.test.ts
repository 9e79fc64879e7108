import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const crashing = fileURLToPath(new URL("./crashing-program.ts", import.meta.url));
const flooding = fileURLToPath(new URL("./flooding-program.ts", import.meta.url));

test.each(["throw", "exit"])("every line before a process ends by %s reaches standard error", async (how) => {
  const child = spawn(process.execPath, [crashing, how], { stdio: ["ignore", "ignore", "pipe"] });
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
  const child = spawn(process.execPath, [flooding], { stdio: ["ignore", "pipe", "pipe"] });
  child.stderr.pause();
  const [said] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  expect(said).toBe("still serving\n");
  child.kill("SIGKILL");
  await once(child, "exit");
});
