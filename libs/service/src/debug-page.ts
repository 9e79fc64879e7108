import { type Config, renderConfig, type Settings } from "@tidemark/config";
import type { ByteBudget, RpcServer } from "@tidemark/rpc";

/** What a process tells of itself at `/debug`, beside what its service adds. */
export interface ProcessDescription {
  readonly role: string;
  readonly id: number;
  readonly isReady: boolean;
  /** How late the last timer ran, in milliseconds. */
  readonly eventLoopLagMs: number | undefined;
  /** Of the service. */
  readonly service: Readonly<Record<string, unknown>>;
}

/** What every service's server tells: calls that run, streams and long polls among them, and what waits to be sent. */
export function describeServer(
  { activeCalls, connections }: Pick<RpcServer, "activeCalls" | "connections">,
  { used, limit }: Pick<ByteBudget, "used" | "limit">,
): Readonly<Record<string, unknown>> {
  return { activeCalls, connections, queuedBytes: { used, limit } };
}

/** What a service that is up, or not yet, tells of itself. One that fails at it tells that: the rest of the page stays. */
export function stateOf(
  running: { isReady(): boolean; describe?(): Readonly<Record<string, unknown>> } | undefined,
): Pick<ProcessDescription, "isReady" | "service"> {
  const isReady = running?.isReady() ?? false;
  try {
    return { isReady, service: running?.describe?.() ?? {} };
  } catch (error) {
    return { isReady, service: { failed: String(error) } };
  }
}

/** A page for people who look for what is wrong. Secrets are left out, and nothing in it grows without bound. */
export function debugPage<Of extends Settings>(of: ProcessDescription, config: Config<Of>): unknown {
  const { role, id, isReady, eventLoopLagMs, service } = of;
  return {
    role,
    id,
    ready: isReady,
    node: process.version,
    v8: process.versions.v8,
    platform: `${process.platform} ${process.arch}`,
    pid: process.pid,
    uptimeSeconds: Math.round(process.uptime()),
    eventLoopLagMs,
    memory: process.memoryUsage(),
    service,
    settings: Object.fromEntries(renderConfig(config).map(({ key, value, source }) => [key, { value, source }])),
  };
}
