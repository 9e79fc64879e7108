import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createNodeRuntime } from "@tidemark/runtime";
import { startChild } from "./child.ts";
import { writeClusterFile } from "./cluster-file.ts";
import { places, removeCluster, takeDataFolder } from "./data-folder.ts";
import { type EtcdLauncher, prepareEtcd } from "./etcd-process.ts";
import { formatNewQuorum } from "./format-quorum.ts";
import { type ProcessSpec, processName } from "./layout.ts";
import { createMoves } from "./moves.ts";
import type { DevOptions } from "./options.ts";
import { type ClusterPlan, processConfigFile, serviceEnvironment } from "./process-config.ts";
import { createRespawn } from "./respawn.ts";
import { createSupervisor, type Supervisor } from "./supervisor.ts";
import { type TakenPlace, takePlace } from "./take-ports.ts";

const services = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "..", "services");
const stopTimeoutMs = 20_000;

/** What a cluster's supervisor needs of the program that it runs in. */
export interface DevIo {
  /** Says something to the person at the terminal. */
  readonly say: (line: string) => void;
  readonly env: NodeJS.ProcessEnv;
  /** Aborted when everything is to stop. */
  readonly stop: AbortSignal;
}

/** Runs a cluster until it is told to stop. Resolves with the exit code: 0 after a clean stop, 1 where it did not start. */
export async function runDev(options: DevOptions, io: DevIo): Promise<number> {
  const taking = await takeDataFolder(options.data);
  if (taking.kind === "refused") {
    io.say(taking.reason);
    return 1;
  }
  try {
    if (options.fresh) removeCluster(options.data);
    const token = randomBytes(16).toString("hex");
    const place = await takePlace(options, token, io.say);
    if (place.kind === "refused") {
      io.say(place.reason);
      return 1;
    }
    const refusal = options.backend === "raft" ? await formatNewQuorum(place.specs, options.data) : undefined;
    if (refusal !== undefined) {
      io.say(refusal);
      place.control.close();
      return 1;
    }
    return await supervise(options, place, token, io);
  } finally {
    await taking.release();
  }
}

async function supervise(options: DevOptions, place: TakenPlace, token: string, io: DevIo): Promise<number> {
  const { data } = options;
  const { specs, control } = place;
  mkdirSync(places.config(data), { recursive: true });
  let isServed = true;
  let plan: ClusterPlan = { ...options, specs };
  const publish = () =>
    writeClusterFile(data, {
      backend: plan.backend,
      ...(plan.etcdEndpoints === undefined ? {} : { etcdEndpoints: plan.etcdEndpoints }),
      processes: supervisor.entries(),
      ...(isServed ? { supervisor: { pid: process.pid, endpoint: control.endpoint, token } } : {}),
    });
  const env = serviceEnvironment(io.env);
  let etcd = options.etcds > 0 ? prepareEtcd({ data, specs, env: io.env, say: io.say }) : undefined;
  const supervisor: Supervisor = createSupervisor({
    specs,
    logs: places.logs(data),
    stopTimeoutMs,
    launch: (spec, logFile) => {
      const { role } = spec;
      if (role === "etcd") return etcdOf(etcd).launch(spec, logFile);
      const file = join(places.config(data), `${processName(spec)}.yaml`);
      writeFileSync(file, processConfigFile({ ...spec, role }, plan));
      return startChild([process.execPath, join(services, role, "src", "main.ts"), "--config", file], logFile, env);
    },
    onChange: publish,
    onFailed: (name, cause) => {
      const next = options.respawn ? respawn.died(name) : `\`tidemark dev start ${name} --data ${data}\` starts it`;
      io.say(`${name} died: ${cause}; ${next}`);
    },
  });
  const respawn = createRespawn({ supervisor, ...createNodeRuntime(), say: io.say });
  publish();
  const moves = createMoves({
    plan: () => plan,
    basePort: place.basePort,
    io,
    supervisor,
    prepare(next) {
      if (next.specs.some(({ role }) => role === "etcd")) {
        etcd = prepareEtcd({ data, specs: next.specs, env: io.env, say: io.say });
      }
    },
    adopt(next) {
      plan = next;
      publish();
    },
  });
  control.serve({ ...supervisor, switch: moves });
  try {
    const started = await startAll(specs, supervisor, io);
    if (started === "ready") {
      sayReady(options, place, io.say);
      await aborted(io.stop);
    }
    if (io.stop.aborted) io.say("Stopping ...");
    return started === "failed" ? 1 : 0;
  } finally {
    await supervisor.stopAll();
    control.close();
    isServed = false;
    publish();
  }
}

function etcdOf(launcher: EtcdLauncher | undefined): EtcdLauncher {
  if (launcher === undefined) throw new Error("Broken invariant: a member of etcd is started where there are none");
  return launcher;
}

/** etcd, then controllers, then brokers, each ready once it is registered, then gateways: a gateway answers for a whole cluster. */
async function startAll(
  specs: readonly ProcessSpec[],
  supervisor: Supervisor,
  { say, stop }: DevIo,
): Promise<"ready" | "failed" | "stopped"> {
  for (const role of ["etcd", "controller", "broker", "gateway"] as const) {
    const names = specs.filter((spec) => spec.role === role).map(processName);
    const starting = Promise.all(names.map((name) => supervisor.start(name)));
    const results = await Promise.race([starting, aborted(stop)]);
    if (results === undefined || stop.aborted) return "stopped";
    const failed = results.filter((result) => !result.ok);
    for (const result of failed) say(result.message);
    if (failed.length > 0) return "failed";
  }
  return "ready";
}

function aborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}

function sayReady(options: DevOptions, { specs, basePort }: TakenPlace, say: (line: string) => void): void {
  const server = basePort === 4640 ? "" : ` --server 127.0.0.1:${basePort}`;
  say(`Tidemark is ready on 127.0.0.1:${basePort} (backend ${options.backend}, data in ${options.data}).`);
  for (const spec of specs) {
    const ports = Object.entries(spec.ports).map(([listener, port]) => `${listener} ${port}`);
    say(`  ${processName(spec).padEnd(13)} ${ports.join(", ")}`);
  }
  say("Try, in another shell:");
  say(`  npx tidemark topic create greetings --partitions 3${server}`);
  say(`  echo hello | npx tidemark produce greetings${server}`);
  say(`  npx tidemark consume greetings --from earliest --max 1${server}`);
  say("Ctrl-C stops everything.");
}
