import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { etcdForCrashes } from "./etcd/etcd-for-crashes.ts";
import { takePortBlock } from "./port-blocks.ts";
import { type Finished, type RunOptions, runProgram } from "./run-program.ts";
import { waitFor } from "./wait-for.ts";

const cli = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "cli", "src", "main.ts");

/** One process as `cluster.json` shows it. */
export interface ClusterProcess {
  readonly role: "controller" | "broker" | "gateway" | "etcd";
  readonly id: number;
  readonly pid?: number;
  readonly endpoints: Readonly<Record<string, string>>;
  readonly state: "starting" | "ready" | "stopping" | "stopped" | "failed";
}

export interface DevClusterOptions {
  readonly brokers?: number;
  readonly gateways?: number;
  /** For every process of the cluster. */
  readonly env?: NodeJS.ProcessEnv;
  readonly flags?: readonly string[];
}

/** A whole cluster of real processes, as `npm start` runs it, on ports of its own. */
export interface DevCluster {
  /** Folder with everything that the cluster writes. */
  readonly data: string;
  processes(): readonly ClusterProcess[];
  process(name: string): ClusterProcess;
  /** host:port of a listener: `endpoint("gateway-1")`. */
  endpoint(name: string, listener?: string): string;
  /** Sends a signal to one process. */
  signal(name: string, signal: NodeJS.Signals): void;
  /** Kills one process as a crash would, and waits until the supervisor has seen it. */
  kill(name: string): Promise<void>;
  /** Starts one process again and waits until it is ready. */
  start(name: string): Promise<void>;
  /** Kills every process at once, the supervisor too. */
  killAll(): Promise<void>;
  /** Starts the whole cluster again over its data. `more`: flags that go before those of the first start. */
  startAll(more?: readonly string[]): Promise<void>;
  /** Runs `tidemark` against this cluster's gateway. */
  tidemark(args: readonly string[], options?: RunOptions): Promise<Finished>;
  /** Stops everything and removes the data. Says what the cluster printed if it did not stop cleanly. */
  stop(): Promise<void>;
}

interface ClusterFile {
  readonly processes: readonly ClusterProcess[];
  readonly supervisor?: { readonly endpoint: string; readonly token: string };
}

/** Starts a cluster and resolves when all of it is ready. */
export async function startDevCluster(options: DevClusterOptions = {}): Promise<DevCluster> {
  const chosen = [...backendFlags(), ...(options.flags ?? [])];
  const given = { ...process.env, ...options.env };
  const env = { ...given, ...etcdForCrashes(chosen, given) };
  const data = mkdtempSync(join(tmpdir(), "tidemark-cluster-"));
  /** The last one is the cluster's: in those before it somebody listens who takes no blocks. */
  const blocks = [takePortBlock()];
  const flags = () => [
    `--data=${data}`,
    `--base-port=${blocks.at(-1)?.basePort ?? 0}`,
    `--brokers=${options.brokers ?? 3}`,
    `--gateways=${options.gateways ?? 1}`,
    ...chosen,
  ];
  let output = "";
  let supervisor: ChildProcess | undefined;

  const readFile = () => JSON.parse(readFileSync(join(data, "cluster.json"), "utf8")) as ClusterFile;
  const read = (): readonly ClusterProcess[] => readFile().processes;
  const find = (name: string): ClusterProcess => {
    const found = read().find((entry) => `${entry.role}-${entry.id}` === name);
    if (found === undefined) throw new Error(`There is no ${name} in the cluster`);
    return found;
  };
  const tidemark: DevCluster["tidemark"] = (args, run = {}) =>
    runProgram(process.execPath, [cli, ...args], {
      ...run,
      env: { TIDEMARK_SERVER: find("gateway-1").endpoints.client, ...run.env },
    });

  const startAll = async (more: readonly string[] = []) => {
    const child = spawn(process.execPath, [cli, "dev", ...flags(), ...more], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    supervisor = child;
    let printed = "";
    const collect = (piece: Buffer) => {
      printed += piece.toString();
      output += piece.toString();
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    const isReady = () => printed.includes("Tidemark is ready");
    await waitFor(
      "the cluster to be ready, or to end",
      () => isReady() || child.exitCode !== null || child.signalCode !== null,
    );
    if (!isReady())
      throw new Error(`The cluster did not start: tidemark dev ended with ${child.exitCode}:\n${printed}`);
  };

  const killAll = async () => {
    const pids = read().flatMap((entry) => (entry.pid === undefined ? [] : [entry.pid]));
    const child = supervisor;
    // The supervisor first, so that it sees none of the others die.
    for (const pid of [child?.pid, ...pids]) if (pid !== undefined) killIfThere(pid);
    await waitFor("every process to be gone", () => pids.every((pid) => !isThere(pid)) && child?.signalCode !== null);
  };

  const cluster: DevCluster = {
    data,
    processes: read,
    process: find,
    endpoint(name, listener = "client") {
      const endpoint = find(name).endpoints[listener];
      if (endpoint === undefined) throw new Error(`${name} has no listener ${listener}`);
      return endpoint;
    },
    signal(name, signal) {
      const { pid } = find(name);
      if (pid === undefined) throw new Error(`${name} does not run`);
      process.kill(pid, signal);
    },
    async kill(name) {
      cluster.signal(name, "SIGKILL");
      await waitFor(`${name} to be seen dead`, () => find(name).state === "failed");
    },
    async start(name) {
      const { ok, message } = await tellSupervisor(readFile(), `start/${name}`);
      if (!ok) throw new Error(`Cannot start ${name}: ${message}`);
    },
    killAll,
    startAll,
    tidemark,
    async stop() {
      if (supervisor !== undefined && (await endOf(supervisor)) !== 0) {
        throw new Error(`tidemark dev did not stop cleanly:\n${output}`);
      }
      for (const block of blocks) block.release();
      rmSync(data, { recursive: true, force: true });
    },
  };
  for (;;) {
    try {
      await startAll();
      return cluster;
    } catch (error) {
      supervisor?.kill("SIGKILL");
      if (!output.includes("These ports are taken")) throw error;
      output = "";
      blocks.push(takePortBlock());
    }
  }
}

/** What `tidemark dev start` says to the supervisor, without a process for it. */
async function tellSupervisor(
  { supervisor }: ClusterFile,
  command: string,
): Promise<{ readonly ok: boolean; readonly message: string }> {
  if (supervisor === undefined) return { ok: false, message: "no supervisor runs" };
  // A connection that is kept for the next command may be closed by the supervisor just when that is sent.
  const headers = { authorization: `Bearer ${supervisor.token}`, connection: "close" };
  const response = await fetch(`http://${supervisor.endpoint}/${command}`, { method: "POST", headers });
  return (await response.json()) as { readonly ok: boolean; readonly message: string };
}

/** Of the consensus backend that the run is to use, by TIDEMARK_TEST_BACKEND. Flags of a test go before them. */
function backendFlags(): readonly string[] {
  const backend = process.env["TIDEMARK_TEST_BACKEND"] ?? "single";
  return backend === "single" ? ["--backend=single"] : [`--backend=${backend}`, "--controllers=3"];
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function killIfThere(pid: number): void {
  if (isThere(pid)) process.kill(pid, "SIGKILL");
}

/** Asks the supervisor to stop, if it still runs. Resolves with its exit code; 0 where it was killed before. */
function endOf(supervisor: ChildProcess): Promise<number> {
  if (supervisor.signalCode !== null) return Promise.resolve(0);
  if (supervisor.exitCode !== null) return Promise.resolve(supervisor.exitCode);
  return new Promise((resolve) => {
    supervisor.once("exit", (code) => resolve(code ?? 1));
    supervisor.kill("SIGINT");
  });
}
