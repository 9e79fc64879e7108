import { expect, test, vi } from "vitest";
import { mustRun, runProgram } from "./run-program.ts";

test("a program that does not end in time is killed, and the error says which, after how long, and what it had said", async () => {
  const program = "process.stdout.write(`${process.pid}`); setInterval(() => undefined, 1000)";
  const run = mustRun(process.execPath, ["-e", program], { timeoutMs: 2000 });
  const error = await run.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Error);
  const { message } = error as Error;
  expect(message).toMatch(/^\S*node -e .* had not ended after 2 s and was killed\. It had said/);
});

test("a program that ends in time is not waited for any longer", async () => {
  const { code } = await runProgram(process.execPath, ["-e", "process.exit(3)"], { timeoutMs: 2 ** 31 - 1 });
  expect(code).toBe(3);
});

test("a program that cannot be started is not waited for either", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    await expect(runProgram("/there/is/none", [], { timeoutMs: 60_000 })).rejects.toMatchObject({ code: "ENOENT" });
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
