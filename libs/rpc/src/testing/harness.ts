import { LogService } from "@tidemark/proto/log/v1";
import { createNodeRuntime } from "@tidemark/runtime";
import { afterEach, expect } from "vitest";
import { createChannel } from "../client/grpc-channel.ts";
import type { ChannelOptions, RpcChannel } from "../client/rpc-channel.ts";
import { createRpcClient, type RpcClient } from "../client/rpc-client.ts";
import type { ListenerOptions } from "../server/listener-options.ts";
import { createRpcServer, type RpcServer, type RpcServerOptions } from "../server/rpc-server.ts";
import { type ServeOptions, serve } from "../server/served-service.ts";
import type { ServiceImpl } from "../server/service-impl.ts";

export const runtime = createNodeRuntime();

const cleanups: (() => Promise<void> | void)[] = [];

/** Runs after the test, the last one first. */
export function cleanUp(cleanup: () => Promise<void> | void): void {
  cleanups.push(cleanup);
}

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

type LogImpl = Partial<ServiceImpl<typeof LogService>>;

export interface TestServer {
  readonly server: RpcServer;
  readonly port: number;
  /** What handlers threw that was no TidemarkError. */
  readonly defects: unknown[];
}

/** A server with a LogService on a free port, stopped after the test. */
export async function startServer(
  implementation: LogImpl,
  options: {
    readonly serve?: ServeOptions<typeof LogService>;
    readonly listener?: Partial<ListenerOptions>;
    readonly server?: Partial<RpcServerOptions>;
  } = {},
): Promise<TestServer> {
  const defects: unknown[] = [];
  const services = [serve(LogService, implementation, options.serve)];
  const server = createRpcServer({
    runtime,
    hooks: {
      onDefect: (thrown, _, traceparent) => defects.push(thrown, ...(traceparent === undefined ? [] : [traceparent])),
    },
    listeners: { client: { port: 0, services, ...options.listener } },
    ...options.server,
  });
  const { client } = await server.start();
  if (client === undefined) throw new Error("The listener is not bound.");
  cleanUp(() => server.stop(0));
  return { server, port: client.port, defects };
}

/** A channel to a port of this machine, closed after the test. */
export function openChannel(port: number, options: Partial<ChannelOptions> = {}): RpcChannel {
  const channel = createChannel(`127.0.0.1:${port}`, { trafficClass: "admin", runtime, ...options });
  cleanUp(channel.close);
  return channel;
}

export function openClient(port: number, options: Partial<ChannelOptions> = {}): RpcClient<typeof LogService> {
  return createRpcClient(LogService, openChannel(port, options));
}

/** Expects what `look` returns to become something, as long as a busy machine may take for it. */
export function eventually<Value>(look: () => Value) {
  return expect.poll(look, { timeout: 20_000 });
}

/** A promise that is pending until the signal is aborted; then it ends with the signal's reason. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(signal.reason as Error);
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail, { once: true });
  });
}
