import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Backend, Role } from "./layout.ts";

/**
 * | state    | meaning                                    |
 * |----------|--------------------------------------------|
 * | starting | runs, and is not ready yet                 |
 * | ready    | runs and answers                           |
 * | stopping | was asked to stop                          |
 * | stopped  | stopped as it was asked to, or never began |
 * | failed   | ended by itself                            |
 */
export type ProcessState = "starting" | "ready" | "stopping" | "stopped" | "failed";

export interface ProcessEntry {
  readonly role: Role;
  readonly id: number;
  /** Absent where it does not run. */
  readonly pid?: number;
  /** Listener -> host:port. */
  readonly endpoints: Readonly<Record<string, string>>;
  readonly state: ProcessState;
  /** Why it ended, where it failed. */
  readonly cause?: string;
}

/** `cluster.json` in the data folder: rewritten by rename at each change, so that a reader never sees half of it. */
export interface ClusterFile {
  readonly backend: Backend;
  /** An etcd that is not the cluster's own: host:port,host:port. */
  readonly etcdEndpoints?: string;
  readonly processes: readonly ProcessEntry[];
  /** Where the supervisor takes commands, and the word that it asks for. Absent when it does not run. */
  readonly supervisor?: { readonly pid: number; readonly endpoint: string; readonly token: string };
}

export const clusterFileName = "cluster.json";

export function writeClusterFile(data: string, content: ClusterFile): void {
  const aside = join(data, `.${clusterFileName}.new`);
  writeFileSync(aside, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  renameSync(aside, join(data, clusterFileName));
}

/** Undefined where there is none yet. */
export function readClusterFile(data: string): ClusterFile | undefined {
  try {
    return JSON.parse(readFileSync(join(data, clusterFileName), "utf8")) as ClusterFile;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
