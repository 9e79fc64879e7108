/** A container's first process is ended by no signal that it does not handle: also while it starts. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts, waitFor } from "@tidemark/testkit";
import { afterEach, expect, test } from "vitest";
import { deploy } from "../src/manifests.ts";

const folder = mkdtempSync(join(tmpdir(), "tidemark-starting-"));
const started: ReturnType<typeof spawn>[] = [];

afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

test.each(["broker", "gateway"])(
  "a %s that still waits for a controller ends cleanly when it is asked to",
  async (role) => {
    const [metrics = 0, nobody = 0] = await freePorts(2);
    const child = spawn(process.execPath, [join(deploy, "..", "services", role, "src", "main.ts")], {
      stdio: "ignore",
      env: {
        TIDEMARK_NODE_ID: "1",
        TIDEMARK_LISTENERS: role === "broker" ? "client://127.0.0.1:0,internal://127.0.0.1:0" : "client://127.0.0.1:0",
        TIDEMARK_METRICS_LISTENER: `127.0.0.1:${metrics}`,
        TIDEMARK_CONTROLLER_ENDPOINTS: `127.0.0.1:${nobody}`,
        ...(role === "broker" ? { TIDEMARK_LOG_DIRS: join(folder, "log") } : {}),
      },
    });
    started.push(child);
    const ready = async () => (await fetch(`http://127.0.0.1:${metrics}/ready`).catch(() => undefined))?.status;
    await waitFor(`the ${role} to tell that it is not ready`, async () => (await ready()) === 503);
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
  },
);
