import { type Backend, countsMax } from "./layout.ts";

/** What `tidemark dev` was asked for. */
export interface DevOptions {
  /** Folder that holds everything the cluster writes. Absolute. */
  readonly data: string;
  readonly controllers: number;
  readonly brokers: number;
  readonly gateways: number;
  /** Log directories of each broker. */
  readonly logDirectories: number;
  readonly backend: Backend;
  /** Members of an etcd of the cluster's own: 1 or 3 with the etcd backend, 0 without it or with `etcdEndpoints`. */
  readonly etcds: number;
  /** An etcd that runs already: host:port,host:port. */
  readonly etcdEndpoints?: string;
  /** The gateway's port; the others follow from it. 0: free ports, chosen once and kept with the data. */
  readonly basePort: number;
  /** Begin with an empty data folder. */
  readonly fresh: boolean;
  /** Start a process again that died. */
  readonly respawn: boolean;
}

/** More are possible; a cluster on one machine has no use for them. */
const logDirectoriesMax = 8;

/** Why the options cannot be carried out, as a sentence; undefined where they can. */
export function refuseOptions(options: DevOptions): string | undefined {
  const etcdRefusal = refuseEtcd(options);
  if (etcdRefusal !== undefined) return etcdRefusal;
  for (const name of ["controllers", "brokers", "gateways"] as const) {
    const count = options[name];
    const most = countsMax[name];
    if (!Number.isInteger(count) || count < 1 || count > most) return `--${name} takes 1 to ${most}, not ${count}.`;
  }
  const { logDirectories } = options;
  if (!Number.isInteger(logDirectories) || logDirectories < 1 || logDirectories > logDirectoriesMax) {
    return `--log-dirs takes 1 to ${logDirectoriesMax}, not ${logDirectories}.`;
  }
  if (options.backend === "single" && options.controllers > 1)
    return "The single backend runs one controller: --controllers 1, or --backend raft or etcd.";
  const { basePort } = options;
  if (!Number.isInteger(basePort) || basePort < 0 || basePort > 65_000) {
    return `--base-port takes 0 to 65000, not ${basePort}.`;
  }
  return undefined;
}

/** Likewise, of what is said about etcd. */
export function refuseEtcd({
  backend,
  etcds,
  etcdEndpoints,
}: Pick<DevOptions, "backend" | "etcds" | "etcdEndpoints">): string | undefined {
  if (backend !== "etcd" && (etcds !== 0 || etcdEndpoints !== undefined)) {
    return "--etcds and --etcd-endpoints go with --backend etcd.";
  }
  if (backend === "etcd" && etcdEndpoints !== undefined && etcds !== 0) {
    return "Give --etcds for an etcd of the cluster's own, or --etcd-endpoints for one that runs already.";
  }
  if (backend === "etcd" && etcdEndpoints === undefined && etcds !== 1 && etcds !== 3) {
    return `--etcds takes 1 or 3, not ${etcds}.`;
  }
  return undefined;
}
