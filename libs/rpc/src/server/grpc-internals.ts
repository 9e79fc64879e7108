import type { Http2SecureServer, Http2Server, ServerHttp2Session, ServerOptions } from "node:http2";
import type { Server, ServerCredentials } from "@grpc/grpc-js";
import { splitRequests, type WebHandler } from "./web-edge.ts";

/**
 * What grpc-js 1.14 keeps to itself and has no option for: the settings of its HTTP/2 servers (receive windows, the limit
 * of resets) and what it does with an unknown path. Everything that reaches into it is in this file, and refuses to work
 * with a version that looks different.
 */
interface ServerInternals {
  commonServerOptions: ServerOptions;
  createHttp2Server(credentials: ServerCredentials): Http2Server | Http2SecureServer;
  _retrieveHandler(path: string): unknown;
}

export interface Http2Tuning {
  /** Bytes that one stream may receive before any was taken. */
  readonly streamWindow: number;
  /** Bytes that one connection may receive before any was taken. */
  readonly connectionWindow: number;
  /** Streams that a peer may cancel within a second before the connection is closed. */
  readonly resetsPerSecond: number;
  readonly onSession: (session: ServerHttp2Session) => void;
  /** Answers what is not gRPC, over TLS also by HTTP/1.1. Absent: grpc-js refuses it. */
  readonly onWebRequest?: WebHandler | undefined;
}

/** Before the server binds anything. Throws when grpc-js is not as it was. */
export function tuneHttp2(server: Server, tuning: Http2Tuning): void {
  const internals = server as unknown as Partial<ServerInternals>;
  const { commonServerOptions, createHttp2Server } = internals;
  if (commonServerOptions === undefined || typeof createHttp2Server !== "function") throw unknownVersion();
  Object.assign(commonServerOptions, {
    settings: { ...commonServerOptions.settings, initialWindowSize: tuning.streamWindow },
    streamResetBurst: tuning.resetsPerSecond,
    streamResetRate: tuning.resetsPerSecond,
    ...(tuning.onWebRequest !== undefined && { allowHTTP1: true }),
  });
  internals.createHttp2Server = (credentials) => {
    const http2Server = createHttp2Server.call(server, credentials);
    http2Server.on("session", (session: ServerHttp2Session) => {
      session.setLocalWindowSize(tuning.connectionWindow);
      tuning.onSession(session);
    });
    if (tuning.onWebRequest !== undefined) splitRequests(http2Server, tuning.onWebRequest);
    return http2Server;
  };
}

/** Lets every path through to the server's interceptors, which answer for the unknown ones too. */
export function acceptEveryPath(server: Server): void {
  const internals = server as unknown as Partial<ServerInternals>;
  if (typeof internals._retrieveHandler !== "function") throw unknownVersion();
  const asIs = (value: unknown) => value;
  internals._retrieveHandler = (path) => ({
    type: "bidi",
    path,
    serialize: asIs,
    deserialize: asIs,
    func: () => undefined,
  });
}

function unknownVersion(): Error {
  return new Error("This version of @grpc/grpc-js is built differently: see grpc-internals.ts before raising it.");
}
