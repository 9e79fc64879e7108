import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createNodeDisk, DiskError, type DiskLock } from "@tidemark/disk";
import { createNodeRuntime } from "@tidemark/runtime";
import { writeClusterFile } from "./cluster-file.ts";
import { serveControl } from "./control.ts";
import { type Counts, layOut, layOutOn, type ProcessSpec, processName } from "./layout.ts";
import type { DevOptions } from "./options.ts";
import { createPortPicker, takenPorts } from "./ports.ts";
import { processConfigFile } from "./process-config.ts";
import { createSupervisor, type Supervisor } from "./supervisor.ts";

const services = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "..", "services");
const stopTimeoutMs = 20_000;

/** Says something to the person at the terminal. */
type Say = (line: string) => void;

/** Runs a cluster until `stopped` resolves. Resolves with the exit code. */
export async function runDev(options: DevOptions, say: Say, stopped: Promise<void>): Promise<number> {
  mkdirSync(options.data, { recursive: true });
  const lock = await takeDataFolder(options.data);
  if (lock === undefined) {
    say(`Another \`tidemark dev\` runs over ${options.data}. Stop it, or take another folder with --data.`);
    return 1;
  }
  try {
    if (options.fresh) removeOldData(options.data);
    const specs = await chooseSpecs(options);
    const taken = await takenPorts(specs);
    if (taken.length > 0) {
      say(
        `These ports are taken: ${taken.join(", ")}. Choose others with --base-port, or free ones with --base-port 0.`,
      );
      return 1;
    }
    return await supervise(options, specs, say, stopped);
  } finally {
    await lock.release();
  }
}

async function takeDataFolder(data: string): Promise<DiskLock | undefined> {
  try {
    return await createNodeDisk({ runtime: createNodeRuntime() }).lock(data);
  } catch (error) {
    if (error instanceof DiskError && error.code === "LOCKED") return undefined;
    throw error;
  }
}

function removeOldData(data: string): void {
  for (const name of ["controller", "broker", "gateway"]) {
    for (let id = 1; id <= 10; id++) rmSync(join(data, `${name}-${id}`), { recursive: true, force: true });
  }
  for (const name of ["logs", "config", "ports.json", "cluster.json"]) {
    rmSync(join(data, name), { recursive: true, force: true });
  }
}

/** With base port 0 the ports are chosen at the first start and kept, so that a restart is found where it was. */
async function chooseSpecs(options: DevOptions): Promise<readonly ProcessSpec[]> {
  if (options.basePort !== 0) return layOut(options, options.basePort);
  const file = join(options.data, "ports.json");
  const kept = readPorts(file, options);
  if (kept !== undefined) return kept;
  const picker = createPortPicker();
  const specs = await layOutOn(options, () => picker.take());
  await picker.release();
  writeFileSync(file, `${JSON.stringify(specs, null, 2)}\n`);
  return specs;
}

function readPorts(file: string, counts: Counts): readonly ProcessSpec[] | undefined {
  try {
    const kept = JSON.parse(readFileSync(file, "utf8")) as readonly ProcessSpec[];
    const same = layOut(counts, 0).map(processName).join() === kept.map(processName).join();
    return same ? kept : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

async function supervise(
  options: DevOptions,
  specs: readonly ProcessSpec[],
  say: Say,
  stopped: Promise<void>,
): Promise<number> {
  const { data } = options;
  mkdirSync(join(data, "config"), { recursive: true });
  const token = randomBytes(16).toString("hex");
  let controlEndpoint: string | undefined;
  const publish = () =>
    writeClusterFile(data, {
      backend: options.backend,
      processes: supervisor.entries(),
      ...(controlEndpoint === undefined ? {} : { supervisor: { pid: process.pid, endpoint: controlEndpoint, token } }),
    });
  const supervisor: Supervisor = createSupervisor({
    specs,
    logs: join(data, "logs"),
    stopTimeoutMs,
    command: (spec) => {
      const file = join(data, "config", `${processName(spec)}.yaml`);
      writeFileSync(file, processConfigFile(spec, specs, data));
      return [process.execPath, join(services, spec.role, "src", "main.ts"), "--config", file];
    },
    onChange: publish,
    onFailed: (name, cause) => {
      say(
        `${name} died: ${cause}${options.respawn ? "; starting it again" : `; \`tidemark dev start ${name}\` starts it`}`,
      );
      if (options.respawn)
        supervisor.start(name).then(
          (result) => say(result.message),
          (error: unknown) => say(String(error)),
        );
    },
  });
  const control = await serveControl(supervisor, token);
  controlEndpoint = control.endpoint;
  let code = 0;
  const ending = stopped.then(() => "stopped" as const);
  try {
    if ((await Promise.race([ending, startAll(specs, supervisor, say)])) === "failed") code = 1;
    else {
      sayReady(options, specs, say);
      await ending;
      say("Stopping ...");
    }
  } finally {
    await supervisor.stopAll();
    control.close();
    controlEndpoint = undefined;
    publish();
  }
  return code;
}

async function startAll(
  specs: readonly ProcessSpec[],
  supervisor: Supervisor,
  say: Say,
): Promise<"started" | "failed"> {
  for (const role of ["controller", "broker", "gateway"] as const) {
    const names = specs.filter((spec) => spec.role === role).map(processName);
    const results = await Promise.all(names.map((name) => supervisor.start(name)));
    const failed = results.filter((result) => !result.ok);
    for (const result of failed) say(result.message);
    if (failed.length > 0) return "failed";
  }
  return "started";
}

function sayReady(options: DevOptions, specs: readonly ProcessSpec[], say: Say): void {
  const gateway = specs.find((spec) => spec.role === "gateway");
  const port = gateway?.ports.client ?? options.basePort;
  const server = port === 4640 ? "" : ` --server 127.0.0.1:${port}`;
  say(`Tidemark is ready on 127.0.0.1:${port} (backend ${options.backend}, data in ${options.data}).`);
  for (const spec of specs) {
    const ports = Object.entries(spec.ports).map(([listener, taken]) => `${listener} ${taken}`);
    say(`  ${processName(spec).padEnd(13)} ${ports.join(", ")}`);
  }
  say("Try, in another shell:");
  say(`  npx tidemark topic create greetings --partitions 3${server}`);
  say(`  echo hello | npx tidemark produce greetings${server}`);
  say(`  npx tidemark consume greetings --from earliest --max 1${server}`);
  say("Ctrl-C stops everything.");
}
