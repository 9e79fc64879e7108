import { createServer as createHttp1, type ServerResponse } from "node:http";
import {
  createServer as createHttp2,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import { toBinary, toJson } from "@bufbuild/protobuf";
import { ErrorDetailSchema, Reason } from "@tidemark/proto/common/v1";
import type { Clock, Scheduler } from "@tidemark/runtime";
import { reasonName, toErrorDetail } from "../errors/error-detail.ts";
import { toGrpcStatus } from "../errors/grpc-status.ts";
import type { TidemarkError } from "../errors/tidemark-error.ts";
import { EXPLAINED_REFUSALS } from "../wire/budgets.ts";
import { createConnectionGate } from "./connection-gate.ts";
import { isGrpc, peekProtocol } from "./web-edge.ts";

/**
 * Closes connections that are not taken, and says why in the protocol that they speak: a typed error to gRPC, a status
 * with JSON to HTTP. It has a budget of its own (EXPLAINED_REFUSALS); what is over that is reset.
 */
export interface Refuser {
  refuse(socket: Socket, error: TidemarkError): void;
  /** Closes what is still being answered. */
  destroy(): void;
}

/** One for each listener. */
export function createRefuser(options: { readonly clock: Clock; readonly scheduler: Scheduler }): Refuser {
  const gate = createConnectionGate(options.clock, EXPLAINED_REFUSALS);
  const open = new Map<Socket, TidemarkError>();
  const sessionErrors = new WeakMap<object, TidemarkError>();

  const http1 = createHttp1((request, response) => {
    const error = open.get(request.socket);
    if (error === undefined) request.socket.destroy();
    else answerHttp1(response, error);
  });
  const http2 = createHttp2();
  http2.on("sessionError", () => undefined);
  http2.on("stream", (stream, headers) => {
    const { session } = stream;
    stream.on("error", () => undefined);
    const error = session === undefined ? undefined : sessionErrors.get(session);
    if (error === undefined) stream.destroy();
    else answerHttp2(stream, headers, error);
    // After the answers that have begun.
    session?.close();
  });

  return {
    refuse(socket, error) {
      const address = socket.remoteAddress;
      if (address === undefined || gate.admit(address) !== undefined) {
        socket.destroy();
        return;
      }
      open.set(socket, error);
      const cancel = options.scheduler.after(EXPLAINED_REFUSALS.timeoutMs, () => socket.destroy());
      socket.once("close", () => {
        cancel();
        open.delete(socket);
        gate.release(address);
      });
      peekProtocol(socket, (protocol) => {
        if (protocol === "http1") {
          http1.emit("connection", socket);
          return;
        }
        // Made while the connection is handed over.
        const note = (session: ServerHttp2Session) => sessionErrors.set(session, error);
        http2.on("session", note);
        http2.emit("connection", socket);
        http2.off("session", note);
      });
    },
    destroy() {
      for (const socket of open.keys()) socket.destroy();
    },
  };
}

/** HTTP's statuses and Connect's codes for the two reasons that connections are refused for. */
function httpOf({ reason }: TidemarkError): { readonly status: number; readonly code: string } {
  return reason === Reason.RESOURCE_EXHAUSTED
    ? { status: 429, code: "resource_exhausted" }
    : { status: 400, code: "unavailable" };
}

/** As Connect writes errors. */
function bodyOf(error: TidemarkError): string {
  const detail = toErrorDetail(error);
  const value = Buffer.from(toBinary(ErrorDetailSchema, detail)).toString("base64").replace(/=+$/, "");
  const debug = toJson(ErrorDetailSchema, detail);
  return JSON.stringify({
    code: httpOf(error).code,
    message: error.message || reasonName(error.reason),
    details: [{ type: ErrorDetailSchema.typeName, value, debug }],
  });
}

function headersOf(error: TidemarkError): Record<string, string> {
  const { retryAfterMs } = error.fields;
  return {
    "content-type": "application/json",
    ...(retryAfterMs !== undefined && { "retry-after": String(Math.ceil(retryAfterMs / 1000)) }),
  };
}

function answerHttp1(response: ServerResponse, error: TidemarkError): void {
  response.writeHead(httpOf(error).status, { ...headersOf(error), connection: "close" });
  response.end(bodyOf(error));
}

function answerHttp2(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, error: TidemarkError): void {
  if (!isGrpc(headers["content-type"])) {
    stream.respond({ ":status": httpOf(error).status, ...headersOf(error) });
    stream.end(bodyOf(error));
    return;
  }
  const { code, details, metadata } = toGrpcStatus(error);
  stream.respond(
    {
      ":status": 200,
      "content-type": "application/grpc+proto",
      "grpc-status": String(code),
      "grpc-message": encodeURI(details),
      ...metadata.toHttp2Headers(),
    },
    { endStream: true },
  );
}
