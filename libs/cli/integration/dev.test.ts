/** `tidemark dev` with real processes: one controller, one broker, one gateway. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClusterProcess, type Finished, runProgram, waitFor } from "@tidemark/testkit";
import { afterAll, describe, expect, test } from "vitest";
import { type DevProcess, main, startDev } from "./dev-process.ts";

const folder = mkdtempSync(join(tmpdir(), "tidemark-dev-"));
const data = join(folder, "data");
let dev: DevProcess;

function start(...flags: readonly string[]): DevProcess {
  return startDev(data, "--base-port=0", "--brokers=1", ...flags);
}

/** Starts the cluster and waits until it is ready. */
async function startReady(...flags: readonly string[]): Promise<void> {
  dev = start(...flags);
  await dev.says(/Tidemark is ready on .*/);
}

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function processes(of = data): readonly ClusterProcess[] {
  return (JSON.parse(readFileSync(join(of, "cluster.json"), "utf8")) as { processes: ClusterProcess[] }).processes;
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
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

// One cluster lives through all of this, in this order: its start is what takes long.
describe("a cluster on this machine", () => {
  afterAll(async () => {
    dev.signal("SIGINT");
    await dev.ended;
  });

  test("answers once it says that it is ready, and lists its processes", async () => {
    await startReady();
    expect(processes().map(({ role, id, state }) => [role, id, state])).toEqual([
      ["controller", 1, "ready"],
      ["broker", 1, "ready"],
      ["gateway", 1, "ready"],
    ]);
    expect(await tidemark("cluster", "health")).toMatchObject({ code: 0, stderr: "" });
  });

  test("is not started a second time over the same data", async () => {
    const second = start();
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain(`Another \`tidemark dev\` runs over ${data}`);
  });

  test("names a process that dies, with its cause, and starts it again when it is told to", async () => {
    process.kill(find("broker-1").pid ?? -1, "SIGKILL");
    await dev.says(/broker-1 died: killed by SIGKILL; `tidemark dev start broker-1 --data .*` starts it/);
    expect(find("broker-1")).toMatchObject({ state: "failed", cause: "killed by SIGKILL" });
    const health = await tidemark("cluster", "health");
    expect([health.code, health.stdout.toString()]).toEqual([1, expect.stringContaining("broker-1")]);
    const again = await tidemark("dev", "start", "broker-1", "--data", data);
    expect([again.code, again.stdout.toString()]).toEqual([0, "broker-1 is ready\n"]);
    const running = await tidemark("dev", "start", "broker-1", "--data", data);
    expect([running.code, running.stdout.toString()]).toEqual([0, "broker-1 runs already\n"]);
    await waitFor("the cluster to be healthy", async () => (await tidemark("cluster", "health")).code === 0);
  });

  test("stops and restarts one process from another shell, also one that is stopped by SIGSTOP", async () => {
    const { pid } = find("gateway-1");
    process.kill(pid ?? -1, "SIGSTOP");
    const restarted = await tidemark("dev", "restart", "gateway-1", "--data", data);
    expect(restarted.stdout.toString()).toBe("gateway-1 is ready\n");
    expect(find("gateway-1").pid).not.toBe(pid);
    const stopped = await tidemark("dev", "stop", "gateway-1", "--data", data);
    expect(stopped.stdout.toString()).toBe("gateway-1 stopped\n");
    expect(find("gateway-1")).toMatchObject({ state: "stopped" });
    expect(dev.output()).not.toContain("gateway-1 died");
    const missing = await tidemark("dev", "stop", "broker-9", "--data", data);
    expect([missing.code, missing.stderr]).toEqual([
      1,
      "tidemark: There is no broker-9 here; there are controller-1, broker-1, gateway-1.\n",
    ]);
    await tidemark("dev", "start", "gateway-1", "--data", data);
  });

  test("stops on Ctrl-C with exit code 0, and comes back over its data on the ports that it had", async () => {
    const endpoints = processes().map((each) => each.endpoints);
    await tidemark("topic", "create", "kept");
    const env = { TIDEMARK_SERVER: find("gateway-1").endpoints.client };
    await runProgram(process.execPath, [main, "produce", "kept"], { input: "a\nb", env });
    dev.signal("SIGINT");
    expect(await dev.ended).toBe(0);
    expect(processes().every(({ state, pid }) => state === "stopped" && pid === undefined)).toBe(true);
    await startReady();
    expect(processes().map((each) => each.endpoints)).toEqual(endpoints);
    const { stdout } = await tidemark("consume", "kept", "--until-end", "--format", "raw");
    expect(stdout.toString()).toBe("a\nb\n");
  });

  test("ends with its supervisor, and comes up again over what that left", async () => {
    const pids = processes().map(({ pid }) => pid);
    dev.signal("SIGKILL");
    await dev.ended;
    await startReady("--respawn");
    expect(processes().some(({ pid }) => pids.includes(pid))).toBe(false);
  });

  test("starts a process that dies again by itself with --respawn", async () => {
    const { pid } = find("gateway-1");
    process.kill(pid ?? -1, "SIGKILL");
    await dev.says(/gateway-1 died: killed by SIGKILL; starting it again/);
    await waitFor("another gateway", () => find("gateway-1").state === "ready" && find("gateway-1").pid !== pid);
  });

  test("begins anew with --fresh, and leaves what is not its own", async () => {
    writeFileSync(join(data, "notes.txt"), "mine");
    dev.signal("SIGINT");
    await dev.ended;
    await startReady("--fresh");
    expect((await tidemark("topic", "list")).stdout.toString()).toContain("There are no topics");
    expect(readFileSync(join(data, "notes.txt"), "utf8")).toBe("mine");
  });
});

test("a broker that is being started ends with its supervisor, though its controller never answers again", async () => {
  const orphaned = join(folder, "orphaned");
  const { signal, ended } = startDev(orphaned, "--base-port=0", "--brokers=1");
  const pid = await waitFor(
    "the broker to be begun",
    () => processes(orphaned).find(({ role }) => role === "broker")?.pid,
  );
  signal("SIGKILL");
  await ended;
  await waitFor("the broker to end", () => !isThere(pid));
});

describe("a start that cannot be", () => {
  const other = join(folder, "other");

  test("on a port that is taken says which", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => {
      taken.listen(0, "127.0.0.1", resolve);
    });
    const address = taken.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const refused = startDev(join(folder, "ports"), `--base-port=${port}`);
    expect(await refused.ended).toBe(1);
    // Ports beside it may be taken by whatever else runs on the machine.
    expect(refused.output()).toMatch(new RegExp(`These ports are taken: .*gateway-1 client ${port}\\b`));
    expect(refused.output()).toContain("Choose others with --base-port");
    expect(existsSync(join(folder, "ports"))).toBe(false);
    taken.close();
  });

  test("in a folder with other things is refused, and touches nothing", async () => {
    mkdirSync(other);
    writeFileSync(join(other, "thesis.txt"), "years of work");
    const refused = startDev(other, "--fresh");
    expect(await refused.ended).toBe(1);
    expect(refused.output()).toContain("holds other things and no Tidemark cluster");
    expect(existsSync(join(other, "thesis.txt"))).toBe(true);
  });

  test("of a process that has no cluster says so", async () => {
    const { code, stderr } = await runProgram(process.execPath, [main, "dev", "start", "broker-1", "--data", other]);
    expect(code).toBe(1);
    expect(stderr).toContain(`No \`tidemark dev\` runs over ${other}`);
  });
});

test("the program runs under any Node by its own entry", async () => {
  const bin = join(main, "..", "..", "bin", "tidemark.mjs");
  const { code, stdout } = await runProgram(process.execPath, [bin, "config", "print", "-o", "json"]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout.toString())).toHaveProperty("settings");
});
