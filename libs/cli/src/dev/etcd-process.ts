import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { getEtcdBinary } from "@tidemark/tooling/etcd-binary";
import { type Child, startForeignChild } from "./child.ts";
import { readClusterFile } from "./cluster-file.ts";
import { type ProcessSpec, processName } from "./layout.ts";
import { endpoint } from "./process-config.ts";

/** Makes the processes of an etcd of the cluster's own. */
export interface EtcdLauncher {
  launch(spec: ProcessSpec, logFile: string): Child;
}

/** Gets an etcd, and ends what is left of the last run. Throws where none can be had. */
export function prepareEtcd(options: {
  readonly data: string;
  readonly specs: readonly ProcessSpec[];
  readonly env: NodeJS.ProcessEnv;
  readonly say: (line: string) => void;
}): EtcdLauncher {
  const { data, specs, env, say } = options;
  const { path } = getEtcdBinary({ env, report: say });
  const members = specs.filter(({ role }) => role === "etcd");
  endLeftovers(data);
  const supervised = endsWithItsParent();
  return {
    launch: (spec, logFile) =>
      startForeignChild([...supervised, path, ...etcdArguments(spec, members, data)], logFile, {
        env,
        look: () => isHealthy(spec),
      }),
  };
}

function etcdArguments(spec: ProcessSpec, members: readonly ProcessSpec[], data: string): readonly string[] {
  const client = `http://${endpoint(spec, "client")}`;
  const peer = `http://${endpoint(spec, "peer")}`;
  const cluster = members.map((each) => `${processName(each)}=http://${endpoint(each, "peer")}`);
  return [
    `--name=${processName(spec)}`,
    `--data-dir=${etcdDirectory(spec, data)}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=${cluster.join(",")}`,
    "--log-level=warn",
  ];
}

function etcdDirectory(spec: ProcessSpec, data: string): string {
  return join(data, processName(spec), "data");
}

async function isHealthy(spec: ProcessSpec): Promise<Readonly<Record<string, string>> | undefined> {
  const client = endpoint(spec, "client");
  const answer = await fetch(`http://${client}/health`, { signal: AbortSignal.timeout(1_000) });
  const { health } = (await answer.json()) as { readonly health: string };
  return health === "true" ? { client, peer: endpoint(spec, "peer") } : undefined;
}

/** A program of others does not notice that the supervisor was killed: where the system can, it ends with it. */
function endsWithItsParent(): readonly string[] {
  const wrapper = ["setpriv", "--pdeathsig", "KILL"] as const;
  const [program, ...args] = wrapper;
  return spawnSync(program, [...args, "true"], { stdio: "ignore" }).status === 0 ? wrapper : [];
}

/** Ends members that still run over this data, where the system could not. */
function endLeftovers(data: string): void {
  for (const { role, id, pid } of readClusterFile(data)?.processes ?? []) {
    if (role !== "etcd" || pid === undefined) continue;
    const own = `--data-dir=${join(data, processName({ role, id }), "data")}`;
    if (commandOf(pid).includes(own)) process.kill(pid, "SIGKILL");
  }
}

/** The arguments of a process. Empty where it is gone, or the system does not say. */
function commandOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return [];
  }
}
