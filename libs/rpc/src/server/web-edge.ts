import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import type {
  Http2SecureServer,
  Http2Server,
  Http2ServerRequest,
  Http2ServerResponse,
  IncomingHttpHeaders,
} from "node:http2";
import type { Socket } from "node:net";
import type { DescService } from "@bufbuild/protobuf";
import type { ByteBudget } from "../wire/byte-budget.ts";
import type { Dispatch } from "./grpc-wire.ts";

/** A request over HTTP/1.1 or HTTP/2 that is not gRPC. */
export type WebRequest = IncomingMessage | Http2ServerRequest;
/** Its response. */
export type WebResponse = ServerResponse | Http2ServerResponse;

/** What a listener gives to its web edge. */
export interface WebListener {
  readonly name: string;
  /** What is served, health and reflection among it. */
  readonly services: readonly DescService[];
  /** Largest message taken, in bytes. */
  readonly messageLimitBytes: number;
  /** Elements of a message taken: see `countElements`. */
  readonly elementLimit: number;
  /** Takes calls, which are then handled as if they had come by gRPC. */
  readonly dispatch: Dispatch;
  /** Bytes that may be queued on the connection of a request. */
  connectionBudget(socket: Pick<Socket, "remoteAddress" | "remotePort">): ByteBudget;
}

/** Answers requests in protocols that browsers and plain HTTP clients speak. Must not throw. */
export type WebHandler = (request: WebRequest, response: WebResponse) => void;
export type CreateWebHandler = (listener: WebListener) => WebHandler;

/** What the first bytes of a cleartext connection say. Undefined: too few of them. */
export function protocolOf(firstBytes: Uint8Array): "http1" | "http2" | undefined {
  const length = Math.min(firstBytes.length, preface.length);
  for (let at = 0; at < length; at++) if (firstBytes[at] !== preface[at]) return "http1";
  return length === preface.length ? "http2" : undefined;
}

/** No method of HTTP/1.1 has this name (RFC 9113, 3.4). */
const preface = Buffer.from("PRI ");

/**
 * Waits for the first bytes of a connection, puts them back, and tells the protocol that they belong to. A connection
 * that stays silent is the caller's to close.
 */
export function peekProtocol(socket: Socket, onKnown: (protocol: "http1" | "http2") => void): void {
  peek(socket, protocolOf, onKnown);
}

/** The same, and tells whether they are those of a TLS handshake (RFC 8446, 5.1). */
export function peekTls(socket: Socket, onKnown: (isTls: boolean) => void): void {
  peek(socket, ([first]) => first === tlsHandshake, onKnown);
}

const tlsHandshake = 22;

/** `read`: undefined where the bytes are too few to say. */
function peek<Known>(
  socket: Socket,
  read: (firstBytes: Uint8Array) => Known | undefined,
  onKnown: (known: Known) => void,
): void {
  const pieces: Buffer[] = [];
  const onReadable = () => {
    const piece = socket.read() as Buffer | null;
    if (piece === null) return;
    pieces.push(piece);
    const bytes = Buffer.concat(pieces);
    const known = read(bytes);
    if (known === undefined) return;
    socket.off("readable", onReadable);
    socket.unshift(bytes);
    onKnown(known);
  };
  socket.on("readable", onReadable);
}

/**
 * A server that listens as one of node:net does, and speaks HTTP/1.1 on those of its connections that are handed to
 * `acceptHttp1`. Its time limits run because it is the one that listens.
 */
export function createHttp1Server(
  options: { readonly handshakeTimeoutMs: number; readonly idleTimeoutMs: number },
  listeners: { readonly onSocket: (socket: Socket) => void; readonly onRequest: WebHandler },
): { readonly server: HttpServer; readonly acceptHttp1: (socket: Socket) => void } {
  const server = createServer(
    {
      noDelay: true,
      keepAlive: true,
      headersTimeout: options.handshakeTimeoutMs,
      keepAliveTimeout: options.idleTimeoutMs,
    },
    listeners.onRequest,
  );
  const [accept] = server.listeners("connection");
  if (accept === undefined) throw new Error("This version of Node.js builds its HTTP server differently");
  server.removeAllListeners("connection");
  server.on("connection", listeners.onSocket);
  return {
    server,
    acceptHttp1(socket) {
      accept.call(server, socket);
    },
  };
}

/** Connections that speak HTTP/1.1, which stay open between two requests. */
export interface Http1Connections {
  onRequest(socket: Socket, response: Pick<WebResponse, "once">): void;
  /** Closes each connection when no answer is on its way: those that wait for a request at once. */
  readonly drain: () => void;
}

export function createHttp1Connections(): Http1Connections {
  /** Answers that are on their way. */
  const pending = new Map<Socket, number>();
  let isDraining = false;

  return {
    onRequest(socket, response) {
      if (!pending.has(socket)) socket.once("close", () => pending.delete(socket));
      pending.set(socket, (pending.get(socket) ?? 0) + 1);
      response.once("close", () => {
        const left = (pending.get(socket) ?? 1) - 1;
        if (pending.has(socket)) pending.set(socket, left);
        if (isDraining && left === 0) socket.destroySoon();
      });
    },
    drain() {
      isDraining = true;
      for (const [socket, answers] of pending) if (answers === 0) socket.destroySoon();
    },
  };
}

/** Hands the requests of an HTTP/2 server that are not gRPC to `onRequest`; the others stay with their handler. */
export function splitRequests(server: Http2Server | Http2SecureServer, onRequest: WebHandler): void {
  const grpc = takeStreamListener(server);
  // Node.js answers a first listener of requests with a listener of streams that makes requests of them.
  server.on("request", onRequest);
  const web = takeStreamListener(server);
  server.on("stream", (stream, headers: IncomingHttpHeaders, ...rest) => {
    (isGrpc(headers["content-type"]) ? grpc : web).call(server, stream, headers, ...rest);
  });
}

type StreamListener = (this: unknown, ...event: readonly unknown[]) => void;

function takeStreamListener(server: Http2Server | Http2SecureServer): StreamListener {
  const [listener, ...others] = server.listeners("stream");
  if (listener === undefined || others.length > 0) throw new Error("An HTTP/2 server has one handler of streams");
  server.removeAllListeners("stream");
  return listener as StreamListener;
}

/** By the content type of a request. gRPC-Web is not gRPC. */
export function isGrpc(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/grpc(?!-web)/i.test(contentType);
}
