/** The supervisor over small programs of its own: what it makes of starts, stops and deaths. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "@tidemark/testkit";
import { afterEach, describe, expect, test } from "vitest";
import { startChild } from "../src/dev/child.ts";
import type { ProcessState } from "../src/dev/cluster-file.ts";
import type { ProcessSpec } from "../src/dev/layout.ts";
import { createSupervisor, type Supervisor } from "../src/dev/supervisor.ts";

const logs = mkdtempSync(join(tmpdir(), "tidemark-supervisor-"));
const spec: ProcessSpec = { role: "broker", id: 1, ports: { client: 1 } };

const sayReady = 'console.log(JSON.stringify({ ready: true, endpoints: { client: "127.0.0.1:1" } }));';
const stay = "setInterval(() => {}, 1000);";
const programs = {
  good: `process.on("SIGTERM", () => process.exit(0)); ${sayReady} ${stay}`,
  stubborn: `process.on("SIGTERM", () => {}); ${sayReady} ${stay}`,
  slow: stay,
  refusing: `console.error(JSON.stringify({ level: "info", message: "first" })); console.error(JSON.stringify({ level: "fatal", message: "the port 1 is taken" })); process.exit(3);`,
  crashing: `throw new RangeError("out of paper");`,
  leaving: `${sayReady} setTimeout(() => process.exit(0), 50);`,
} as const;

let supervisor: Supervisor;
let died: string[];
/** Every state that it was in, also one that is over before anybody can look. */
let states: ProcessState[];

function supervise(program: keyof typeof programs): Supervisor {
  died = [];
  states = [];
  supervisor = createSupervisor({
    specs: [spec],
    logs,
    launch: (_, logFile) => startChild([process.execPath, "-e", programs[program]], logFile, process.env),
    onChange: () => states.push(state() ?? "stopped"),
    onFailed: (name, cause) => died.push(`${name}: ${cause}`),
    stopTimeoutMs: 500,
  });
  return supervisor;
}

const state = () => supervisor.entries()[0]?.state;

afterEach(async () => {
  await supervisor.stopAll();
  rmSync(join(logs, "broker-1.log"), { force: true });
});

describe("a supervisor", () => {
  test("carries out what is said at the same time one after the other", async () => {
    supervise("good");
    const [started, again, stopped, restarted] = await Promise.all([
      supervisor.start("broker-1"),
      supervisor.start("broker-1"),
      waitFor("it to be ready", () => states.includes("ready")).then(() => supervisor.stop("broker-1")),
      waitFor("it to stop", () => states.includes("stopping")).then(() => supervisor.restart("broker-1")),
    ]);
    expect([started, again, stopped, restarted].map(({ message }) => message)).toEqual([
      "broker-1 is ready",
      "broker-1 runs already",
      "broker-1 stopped",
      "broker-1 is ready",
    ]);
    expect(died).toEqual([]);
  });

  test("kills what does not stop in time, and says so", async () => {
    await supervise("stubborn").start("broker-1");
    expect(await supervisor.stop("broker-1")).toEqual({
      ok: true,
      message: "broker-1 took too long to stop and was killed",
    });
    expect(state()).toBe("stopped");
  });

  test("ends a start that is under way when it is told to stop", async () => {
    const starting = supervise("slow").start("broker-1");
    await waitFor("it to run", () => supervisor.entries()[0]?.pid !== undefined);
    await supervisor.stop("broker-1");
    expect((await starting).ok).toBe(false);
    expect(state()).toBe("stopped");
  });

  test.each([
    ["refusing", "exit code 3: the port 1 is taken"],
    ["crashing", "exit code 1: RangeError: out of paper"],
  ] as const)("tells why a process that is %s does not start, in one line", async (program, cause) => {
    expect(await supervise(program).start("broker-1")).toEqual({
      ok: false,
      message: `broker-1 did not start: ${cause}`,
    });
    expect(supervisor.entries()[0]).toMatchObject({ state: "failed", cause });
  });

  test("takes one for dead that leaves by itself, also with exit code 0", async () => {
    await supervise("leaving").start("broker-1");
    await waitFor("it to leave", () => state() === "failed");
    expect(died).toEqual(["broker-1: exit code 0, though nobody asked it to stop"]);
  });

  test("starts nothing once it was told to stop everything", async () => {
    supervise("good");
    await supervisor.stopAll();
    expect((await supervisor.start("broker-1")).ok).toBe(false);
    expect(supervisor.entries()[0]?.pid).toBeUndefined();
  });
});
