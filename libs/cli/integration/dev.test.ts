/** `tidemark dev` with real processes: one controller, one broker, one gateway. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClusterProcess, type Finished, runProgram, waitFor } from "@tidemark/testkit";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type DevProcess, main, startDev } from "./dev-process.ts";

let data: string;
let running: DevProcess[];

beforeEach(() => {
  data = join(mkdtempSync(join(tmpdir(), "tidemark-dev-")), "data");
  running = [];
});

afterEach(async () => {
  for (const dev of running) {
    dev.signal("SIGINT");
    await dev.ended;
  }
  rmSync(join(data, ".."), { recursive: true, force: true });
});

function start(...flags: readonly string[]): DevProcess {
  const dev = startDev(data, "--base-port=0", "--brokers=1", ...flags);
  running.push(dev);
  return dev;
}

function processes(): readonly ClusterProcess[] {
  return (JSON.parse(readFileSync(join(data, "cluster.json"), "utf8")) as { processes: ClusterProcess[] }).processes;
}

function find(name: string): ClusterProcess {
  const found = processes().find(({ role, id }) => `${role}-${id}` === name);
  if (found === undefined) throw new Error(`There is no ${name}`);
  return found;
}

function tidemark(...args: readonly string[]): Promise<Finished> {
  return runProgram(process.execPath, [main, ...args], {
    env: { TIDEMARK_SERVER: find("gateway-1").endpoints.client },
  });
}

const ready = /Tidemark is ready on .*/;

describe("a cluster on this machine", () => {
  test("answers once it says that it is ready, and lists its processes", async () => {
    const dev = start();
    await dev.says(ready);
    expect(processes().map(({ role, id, state }) => [role, id, state])).toEqual([
      ["controller", 1, "ready"],
      ["broker", 1, "ready"],
      ["gateway", 1, "ready"],
    ]);
    expect(await tidemark("cluster", "health")).toMatchObject({ code: 0, stderr: "" });
    dev.signal("SIGINT");
    expect(await dev.ended).toBe(0);
    expect(processes().map(({ state, pid }) => [state, pid])).toEqual(
      Array.from({ length: 3 }, () => ["stopped", undefined]),
    );
  });

  test("comes back over its data on the ports that it had", async () => {
    const first = start();
    await first.says(ready);
    const endpoints = processes().map((each) => each.endpoints);
    await tidemark("topic", "create", "kept");
    await runProgram(process.execPath, [main, "produce", "kept"], {
      input: "a\nb",
      env: { TIDEMARK_SERVER: find("gateway-1").endpoints.client },
    });
    first.signal("SIGINT");
    await first.ended;
    await start().says(ready);
    expect(processes().map((each) => each.endpoints)).toEqual(endpoints);
    const { stdout } = await tidemark("consume", "kept", "--until-end", "--format", "raw");
    expect(stdout.toString()).toBe("a\nb\n");
  });

  test("begins anew with --fresh, and leaves what is not its own", async () => {
    const first = start();
    await first.says(ready);
    await tidemark("topic", "create", "old");
    first.signal("SIGINT");
    await first.ended;
    writeFileSync(join(data, "notes.txt"), "mine");
    await start("--fresh").says(ready);
    expect((await tidemark("topic", "list")).stdout.toString()).toContain("There are no topics");
    expect(readFileSync(join(data, "notes.txt"), "utf8")).toBe("mine");
  });

  test("names a process that dies, with its cause, and starts it again when it is told to", async () => {
    const dev = start();
    await dev.says(ready);
    process.kill(find("broker-1").pid ?? -1, "SIGKILL");
    await dev.says(/broker-1 died: killed by SIGKILL; `tidemark dev start broker-1 --data .*` starts it/);
    expect(find("broker-1")).toMatchObject({ state: "failed", cause: "killed by SIGKILL" });
    const health = await tidemark("cluster", "health");
    expect(health.code).toBe(1);
    expect(health.stdout.toString()).toContain("broker-1");
    const again = await tidemark("dev", "start", "broker-1", "--data", data);
    expect([again.code, again.stdout.toString()]).toEqual([0, "broker-1 is ready\n"]);
    const running = await tidemark("dev", "start", "broker-1", "--data", data);
    expect([running.code, running.stdout.toString()]).toEqual([0, "broker-1 runs already\n"]);
    await waitFor("the cluster to be healthy", async () => (await tidemark("cluster", "health")).code === 0);
  });

  test("stops and restarts one process from another shell, also one that is stopped by SIGSTOP", async () => {
    const dev = start();
    await dev.says(ready);
    const { pid } = find("gateway-1");
    process.kill(pid ?? -1, "SIGSTOP");
    expect((await tidemark("dev", "restart", "gateway-1", "--data", data)).stdout.toString()).toBe(
      "gateway-1 is ready\n",
    );
    expect(find("gateway-1").pid).not.toBe(pid);
    expect((await tidemark("dev", "stop", "gateway-1", "--data", data)).stdout.toString()).toBe("gateway-1 stopped\n");
    expect(find("gateway-1")).toMatchObject({ state: "stopped" });
    expect(dev.output()).not.toContain("died");
    const missing = await tidemark("dev", "stop", "broker-9", "--data", data);
    expect([missing.code, missing.stderr]).toEqual([
      1,
      "tidemark: There is no broker-9 here; there are controller-1, broker-1, gateway-1.\n",
    ]);
  });

  test("starts a process that dies again by itself with --respawn", async () => {
    const dev = start("--respawn");
    await dev.says(ready);
    const { pid } = find("gateway-1");
    process.kill(pid ?? -1, "SIGKILL");
    await dev.says(/gateway-1 died: killed by SIGKILL; starting it again/);
    await waitFor("another gateway", () => find("gateway-1").state === "ready" && find("gateway-1").pid !== pid);
  });

  test("ends with its supervisor, and comes up again over what that left", async () => {
    const first = start();
    await first.says(ready);
    const pids = processes().map(({ pid }) => pid ?? -1);
    first.signal("SIGKILL");
    await first.ended;
    await start().says(ready);
    expect(processes().some(({ pid }) => pids.includes(pid ?? -1))).toBe(false);
  });
});

describe("a start that cannot be", () => {
  test("over the data of one that runs is refused", async () => {
    await start().says(ready);
    const second = start();
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain(`Another \`tidemark dev\` runs over ${data}`);
  });

  test("on a port that is taken says which", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => {
      taken.listen(0, "127.0.0.1", resolve);
    });
    const address = taken.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const dev = start(`--base-port=${port}`);
    expect(await dev.ended).toBe(1);
    expect(dev.output()).toContain(`These ports are taken: gateway-1 client ${port}. Choose others with --base-port`);
    taken.close();
  });

  test("in a folder with other things is refused, and touches nothing", async () => {
    mkdirSync(data);
    writeFileSync(join(data, "thesis.txt"), "years of work");
    const dev = start("--fresh");
    expect(await dev.ended).toBe(1);
    expect(dev.output()).toContain("holds other things and no Tidemark cluster");
    expect(existsSync(join(data, "thesis.txt"))).toBe(true);
  });

  test("of a process that has no cluster says so", async () => {
    const { code, stderr } = await runProgram(process.execPath, [main, "dev", "start", "broker-1", "--data", data]);
    expect(code).toBe(1);
    expect(stderr).toContain(`No \`tidemark dev\` runs over ${data}`);
  });
});

test("the program runs under any Node by its own entry", async () => {
  const bin = join(main, "..", "..", "bin", "tidemark.mjs");
  const { code, stdout } = await runProgram(process.execPath, [bin, "config", "print", "-o", "json"]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout.toString())).toHaveProperty("settings");
});
