import { type Backend, countsMax } from "./layout.ts";

/** What `tidemark dev` was asked for. */
export interface DevOptions {
  /** Folder that holds everything the cluster writes. Absolute. */
  readonly data: string;
  readonly controllers: number;
  readonly brokers: number;
  readonly gateways: number;
  readonly backend: Backend;
  /** The gateway's port; the others follow from it. 0: free ports, chosen once and kept with the data. */
  readonly basePort: number;
  /** Begin with an empty data folder. */
  readonly fresh: boolean;
  /** Start a process again that died. */
  readonly respawn: boolean;
}

/** Why the options cannot be carried out, as a sentence; undefined where they can. */
export function refuseOptions(options: DevOptions): string | undefined {
  if (options.backend === "etcd") {
    return "The etcd backend is not there yet: this version runs --backend single or raft.";
  }
  for (const name of ["controllers", "brokers", "gateways"] as const) {
    const count = options[name];
    const most = countsMax[name];
    if (!Number.isInteger(count) || count < 1 || count > most) return `--${name} takes 1 to ${most}, not ${count}.`;
  }
  if (options.backend === "single" && options.controllers > 1)
    return "The single backend runs one controller: --controllers 1, or --backend raft.";
  const { basePort } = options;
  if (!Number.isInteger(basePort) || basePort < 0 || basePort > 65_000) {
    return `--base-port takes 0 to 65000, not ${basePort}.`;
  }
  return undefined;
}
