import { createServer, type Server as NetServer, type Socket } from "node:net";
import type { DescService } from "@bufbuild/protobuf";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { createDeferred, type Runtime } from "@tidemark/runtime";
import {
  type ConnectionLimits,
  DEFAULT_CONNECTION_LIMITS,
  DEFAULT_KEEPALIVE,
  ELEMENTS_PER_MESSAGE,
  MESSAGE_LIMIT_BYTES,
  QUEUE_LIMIT_BYTES,
  RECEIVE_WINDOW_BYTES,
  STREAMS_PER_CONNECTION,
} from "../wire/budgets.ts";
import type { ByteBudget } from "../wire/byte-budget.ts";
import { speaksTls } from "./connection-errors.ts";
import type { ConnectionRefusal } from "./connection-gate.ts";
import { type Connections, createConnections } from "./connections.ts";
import { acceptEveryPath, tuneHttp2 } from "./grpc-internals.ts";
import { connectionKey, createDispatchInterceptor, type Dispatch } from "./grpc-wire.ts";
import { listen } from "./listen.ts";
import type { BoundAddress, ListenerOptions, ServerTls } from "./listener-options.ts";
import { createRefuser } from "./refuser.ts";
import {
  type CreateWebHandler,
  createHttp1Connections,
  createHttp1Server,
  peekProtocol,
  peekTls,
  type WebHandler,
} from "./web-edge.ts";

/** One bound socket with a gRPC server behind it. */
export interface RpcListener {
  bind(): Promise<BoundAddress>;
  readonly connectionCount: number;
  /** Takes no more connections, and tells the open ones to close after their last call. Resolves when all have. */
  drain(): Promise<void>;
  /** Closes what is still open. Resolves when the port is free and every connection is gone. */
  close(): Promise<void>;
}

/** What the listeners of a server have in common. */
export interface ListenerContext {
  readonly runtime: Runtime;
  readonly processBudget: ByteBudget;
  /** What is served, health and reflection among it. */
  readonly services: readonly DescService[];
  readonly dispatch: Dispatch;
  readonly onRefused: (refusal: ConnectionRefusal, address: string, listener: string) => void;
}

export function createRpcListener(name: string, options: ListenerOptions, shared: ListenerContext): RpcListener {
  const { runtime, processBudget, dispatch, onRefused } = shared;
  const limits = { ...DEFAULT_CONNECTION_LIMITS, ...options.connections };
  const refuser = createRefuser(runtime);
  const connections = createConnections({
    limits,
    clock: runtime.clock,
    scheduler: runtime.scheduler,
    processBudget,
    queueLimit: (options.queueLimitBytes ?? QUEUE_LIMIT_BYTES).connection,
    accept: (socket) => accept(socket),
    // Over TLS nobody could read it before a handshake, which is what the limits are to save.
    refuse: (socket, error) => (options.tls === undefined ? refuser.refuse(socket, error) : socket.destroy()),
    onRefused: (refusal, address) => onRefused(refusal, address, name),
  });
  const interceptor = createDispatchInterceptor(
    {
      listener: name,
      clock: runtime.clock,
      messageLimitBytes: messageLimitOf(options),
      connectionBudget: connections.budget,
    },
    dispatch,
  );
  const web = options.web && createWebSide(name, { ...options, web: options.web }, { ...shared, connections });
  const window = options.receiveWindowBytes ?? RECEIVE_WINDOW_BYTES;
  const server = new Server({ ...grpcOptions(name, options), interceptors: [interceptor] });
  tuneHttp2(server, {
    streamWindow: window.stream,
    connectionWindow: window.connection,
    resetsPerSecond: limits.cancelledCallsPerSecond,
    onSession: connections.onSession,
    onWebRequest: web?.onRequest,
  });
  acceptEveryPath(server);
  const injector = server.createConnectionInjector(credentialsOf(options.tls));
  const { sockets, accept } = createSockets(options, {
    limits,
    onSocket: connections.onSocket,
    acceptHttp2: (socket) => injector.injectConnection(socket),
    refuse: (socket) => refuser.refuse(socket, speaksTls(name)),
    onWebRequest: web?.onRequest,
  });
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
      web?.drain();
      return connections.drain();
    },
    async close() {
      connections.destroy();
      refuser.destroy();
      server.forceShutdown();
      await closed.promise;
    },
  };
}

/** The requests of a listener that are not gRPC. */
function createWebSide(
  name: string,
  options: ListenerOptions & { readonly web: CreateWebHandler },
  shared: {
    readonly services: readonly DescService[];
    readonly dispatch: Dispatch;
    readonly connections: Connections;
  },
): { readonly onRequest: WebHandler; drain(): void } {
  const { connections } = shared;
  const http1 = createHttp1Connections();
  const handle = options.web({
    name,
    services: shared.services,
    messageLimitBytes: messageLimitOf(options),
    elementLimit: options.elementLimit ?? ELEMENTS_PER_MESSAGE,
    dispatch: shared.dispatch,
    connectionBudget: ({ remoteAddress, remotePort }) => connections.budget(connectionKey(remoteAddress, remotePort)),
  });
  return {
    onRequest(request, response) {
      if (request.httpVersionMajor === 1) {
        connections.onHttp1(request.socket);
        http1.onRequest(request.socket, response);
      }
      handle(request, response);
    },
    drain: http1.drain,
  };
}

/** What listens, and what an admitted connection goes to: with a web side its first bytes decide. */
function createSockets(
  options: ListenerOptions,
  to: {
    readonly limits: ConnectionLimits;
    readonly onSocket: (socket: Socket) => void;
    readonly acceptHttp2: (socket: Socket) => void;
    /** One that speaks cleartext where TLS is spoken. */
    readonly refuse: (socket: Socket) => void;
    readonly onWebRequest: WebHandler | undefined;
  },
): { readonly sockets: NetServer; readonly accept: (socket: Socket) => void } {
  const { onSocket, acceptHttp2, refuse, onWebRequest } = to;
  if (onWebRequest === undefined || options.tls !== undefined) {
    const sockets = createServer({ noDelay: true, keepAlive: true }, onSocket);
    if (options.tls === undefined) return { sockets, accept: acceptHttp2 };
    // What is spoken inside of TLS the two sides agree on in the handshake.
    return { sockets, accept: (socket) => peekTls(socket, (isTls) => (isTls ? acceptHttp2(socket) : refuse(socket))) };
  }
  const { server, acceptHttp1 } = createHttp1Server(to.limits, { onSocket, onRequest: onWebRequest });
  const accept = (socket: Socket) =>
    peekProtocol(socket, (protocol) => (protocol === "http1" ? acceptHttp1(socket) : acceptHttp2(socket)));
  return { sockets: server, accept };
}

function messageLimitOf({ messageLimitBytes = MESSAGE_LIMIT_BYTES.control }: ListenerOptions): number {
  return messageLimitBytes;
}

function grpcOptions(name: string, options: ListenerOptions) {
  const keepalive = options.keepalive ?? DEFAULT_KEEPALIVE;
  const streams = name === "internal" ? STREAMS_PER_CONNECTION.internal : STREAMS_PER_CONNECTION.client;
  return {
    "grpc.max_receive_message_length": messageLimitOf(options),
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
