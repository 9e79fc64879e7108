import type { Backend } from "./layout.ts";

/** Where the metadata of a cluster are to be kept from now on. */
export interface SwitchTarget {
  readonly backend: Backend;
  /** Members of an etcd of the cluster's own; 0 without one. */
  readonly etcds: number;
  /** An etcd that runs already: host:port,host:port. */
  readonly etcdEndpoints?: string;
}

const backends: readonly string[] = ["single", "raft", "etcd"] satisfies readonly Backend[];

/** As one word, for the way to the supervisor. */
export function formatTarget(target: SwitchTarget): string {
  return JSON.stringify(target);
}

/** Undefined where it is none. */
export function parseTarget(text: string): SwitchTarget | undefined {
  try {
    const { backend, etcds, etcdEndpoints } = JSON.parse(text) as Partial<SwitchTarget>;
    if (backend === undefined || !backends.includes(backend) || typeof etcds !== "number") return undefined;
    return { backend, etcds, ...(etcdEndpoints === undefined ? {} : { etcdEndpoints }) };
  } catch {
    return undefined;
  }
}
