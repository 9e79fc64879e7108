import { createServer } from "node:net";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { createDeferred, type Runtime } from "@tidemark/runtime";
import {
  DEFAULT_CONNECTION_LIMITS,
  DEFAULT_KEEPALIVE,
  MESSAGE_LIMIT_BYTES,
  RECEIVE_WINDOW_BYTES,
  STREAMS_PER_CONNECTION,
} from "../wire/budgets.ts";
import type { ByteBudget } from "../wire/byte-budget.ts";
import type { ConnectionRefusal } from "./connection-gate.ts";
import { createConnections } from "./connections.ts";
import { acceptEveryPath, tuneHttp2 } from "./grpc-internals.ts";
import { createDispatchInterceptor, type Dispatch } from "./grpc-wire.ts";
import { listen } from "./listen.ts";
import type { BoundAddress, ListenerOptions, ServerTls } from "./listener-options.ts";

/** One bound socket with a gRPC server behind it. */
export interface RpcListener {
  bind(): Promise<BoundAddress>;
  readonly connectionCount: number;
  /** Takes no more connections, and tells the open ones to close after their last call. Resolves when all have. */
  drain(): Promise<void>;
  /** Closes what is still open. Resolves when the port is free and every connection is gone. */
  close(): Promise<void>;
}

export function createRpcListener(
  name: string,
  options: ListenerOptions,
  shared: {
    readonly runtime: Runtime;
    readonly processBudget: ByteBudget;
    readonly dispatch: Dispatch;
    readonly onRefused: (refusal: ConnectionRefusal, address: string, listener: string) => void;
  },
): RpcListener {
  const { runtime, processBudget, dispatch, onRefused } = shared;
  const connections = createConnections({
    limits: { ...DEFAULT_CONNECTION_LIMITS, ...options.connections },
    clock: runtime.clock,
    scheduler: runtime.scheduler,
    processBudget,
    accept: (socket) => injector.injectConnection(socket),
    onRefused: (refusal, address) => onRefused(refusal, address, name),
  });
  const interceptor = createDispatchInterceptor(
    { listener: name, clock: runtime.clock, connectionBudget: connections.budget },
    dispatch,
  );
  const window = options.receiveWindowBytes ?? RECEIVE_WINDOW_BYTES;
  const server = new Server({ ...grpcOptions(name, options), interceptors: [interceptor] });
  tuneHttp2(server, {
    streamWindow: window.stream,
    connectionWindow: window.connection,
    resetsPerSecond: options.connections?.cancelledCallsPerSecond ?? DEFAULT_CONNECTION_LIMITS.cancelledCallsPerSecond,
    onSession: connections.onSession,
  });
  acceptEveryPath(server);
  const injector = server.createConnectionInjector(credentialsOf(options.tls));
  const sockets = createServer({ noDelay: true, keepAlive: true }, connections.onSocket);
  const closed = createDeferred();
  sockets.once("close", () => closed.resolve());

  return {
    get connectionCount() {
      return connections.count;
    },
    bind: () => listen(sockets, { listener: name, host: options.host ?? "127.0.0.1", port: options.port }),
    drain() {
      if (sockets.listening) sockets.close();
      else closed.resolve();
      return connections.drain();
    },
    async close() {
      connections.destroy();
      server.forceShutdown();
      await closed.promise;
    },
  };
}

function grpcOptions(name: string, options: ListenerOptions) {
  const messageLimit = options.messageLimitBytes ?? MESSAGE_LIMIT_BYTES.control;
  const keepalive = options.keepalive ?? DEFAULT_KEEPALIVE;
  const streams = name === "internal" ? STREAMS_PER_CONNECTION.internal : STREAMS_PER_CONNECTION.client;
  return {
    "grpc.max_receive_message_length": messageLimit,
    "grpc.max_send_message_length": -1,
    "grpc.max_concurrent_streams": options.streamsPerConnection ?? streams,
    "grpc.keepalive_time_ms": keepalive.timeMs,
    "grpc.keepalive_timeout_ms": keepalive.timeoutMs,
    "grpc.max_connection_idle_ms": options.connections?.idleTimeoutMs ?? DEFAULT_CONNECTION_LIMITS.idleTimeoutMs,
    "grpc.enable_channelz": 0,
  };
}

function credentialsOf(tls: ServerTls | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const authorities = tls.authorities === undefined ? null : Buffer.from(tls.authorities);
  const pair = { private_key: Buffer.from(tls.key), cert_chain: Buffer.from(tls.certificate) };
  return ServerCredentials.createSsl(authorities, [pair], tls.requireClientCertificate);
}
