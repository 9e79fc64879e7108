import { join } from "node:path";
import { stringify } from "yaml";
import { compileCacheFolder } from "../compile-cache.ts";
import { withEveryTrace } from "../traces.ts";
import { type Backend, type ProcessSpec, processName, type ServiceRole } from "./layout.ts";

const loopback = "127.0.0.1";

/** host:port of one listener. */
export function endpoint(spec: ProcessSpec, listener: string): string {
  return `${loopback}:${spec.ports[listener] ?? 0}`;
}

function listeners(spec: ProcessSpec): string {
  return Object.keys(spec.ports)
    .filter((listener) => listener !== "metrics")
    .map((listener) => `${listener}://${endpoint(spec, listener)}`)
    .join(",");
}

/** All processes of a cluster, and what they have in common. */
export interface ClusterPlan {
  readonly specs: readonly ProcessSpec[];
  /** The data folder. */
  readonly data: string;
  readonly backend: Backend;
  /** Log directories of each broker. Absent: one. */
  readonly logDirectories?: number;
  /** An etcd that is not the cluster's own: host:port,host:port. */
  readonly etcdEndpoints?: string;
}

/** A process of the suite's own. */
export type ServiceSpec = ProcessSpec & { readonly role: ServiceRole };

/** Where a controller keeps the metadata. */
export function metadataDirectory(spec: ProcessSpec, data: string): string {
  return join(data, processName(spec), "metadata");
}

/** Where a broker keeps its logs: `log`, `log-2` and so on, so that more of them leave the first as it was. */
function logDirectories(spec: ProcessSpec, { data, logDirectories: count = 1 }: ClusterPlan): readonly string[] {
  return Array.from({ length: count }, (_, index) =>
    join(data, processName(spec), index === 0 ? "log" : `log-${index + 1}`),
  );
}

/** Settings of one process of the cluster: only what differs from the defaults, as people would write it. */
export function processSettings(spec: ServiceSpec, cluster: ClusterPlan): Record<string, unknown> {
  const { specs: all, data } = cluster;
  const controllers = all.filter((other) => other.role === "controller");
  const common = {
    "node.id": spec.id,
    listeners: listeners(spec),
    "metrics.listener": endpoint(spec, "metrics"),
    // Everybody on this machine has one address: what guards a server against one of many callers would only hit people.
    "max.connections.per.ip": 1000,
    "max.connection.creation.rate.per.ip": 1000,
  };
  const byRole: Record<ServiceRole, () => Record<string, unknown>> = {
    controller: () => ({
      "consensus.backend": backendReference(cluster),
      "metadata.log.dir": metadataDirectory(spec, data),
    }),
    broker: () => ({
      "controller.endpoints": controllers.map((other) => endpoint(other, "internal")).join(","),
      "log.dirs": logDirectories(spec, cluster).join(","),
      // Where the whole cluster stops, the last broker has nobody to hand its leaderships to.
      "controlled.shutdown.max.ms": 5000,
    }),
    gateway: () => ({
      "controller.endpoints": controllers.map((other) => endpoint(other, "internal")).join(","),
    }),
  };
  return { ...common, ...byRole[spec.role]() };
}

/** etcd with its members; the others keep their data in the controller's own directory. */
export function backendReference({ backend, specs, etcdEndpoints }: ClusterPlan): string {
  if (backend !== "etcd") return backend;
  const own = specs.filter(({ role }) => role === "etcd").map((spec) => endpoint(spec, "client"));
  return `etcd://${etcdEndpoints ?? own.join(",")}/tidemark`;
}

/** The same as a configuration file. */
export function processConfigFile(spec: ServiceSpec, cluster: ClusterPlan): string {
  return `# Written by \`tidemark dev\` at each start. TIDEMARK_* variables go before it.\n${stringify(processSettings(spec, cluster))}`;
}

/**
 * The environment of the processes: this one's, every trace recorded unless something else was asked for, and a faster
 * start.
 */
export function serviceEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { NODE_COMPILE_CACHE: compileCacheFolder, ...withEveryTrace(env) };
}
