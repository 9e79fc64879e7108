import type { DescMessage, DescMethod, MessageShape } from "@bufbuild/protobuf";
import {
  type ConnectRouter,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type MethodImpl,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerRequest } from "@connectrpc/connect/protocol";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { Reason } from "@tidemark/proto/common/v1";
import {
  type CreateWebHandler,
  messageTooLarge,
  TidemarkError,
  type WebListener,
  type WebRequest,
  type WebResponse,
} from "@tidemark/rpc";
import type { Scheduler } from "@tidemark/runtime";
import type { Logger } from "@tidemark/telemetry";
import { runConnectCall } from "./connect-call.ts";
import { toConnectError } from "./connect-error.ts";
import { createCors } from "./cors.ts";
import { type BodyLimits, bodyFormOf, countBody } from "./count-body.ts";
import { badRequest, explain, unknownPath } from "./explain.ts";
import { createNameCompleter } from "./short-enum-names.ts";
import { peerKey, peerOf } from "./web-peer.ts";

export interface WebHandlerOptions {
  /** Pages of these origins may call. */
  readonly corsOrigins: readonly string[];
  readonly scheduler: Scheduler;
  readonly logger: Pick<Logger, "debug">;
}

/** What requests may be compressed with. */
const compressions = [compressionGzip, compressionBrotli] as const;

/** A request with one message has arrived whole after this, or is given up, in milliseconds. */
const receiveTimeoutMs = 60_000;

type AnyMessage = MessageShape<DescMessage>;

/** Whether a call was handed on: its request was one, as far as it had to be read for that. */
const begunKey = createContextKey(false);

/** Connect (JSON and protobuf) and gRPC-Web for whatever a listener serves. */
export function createWebHandler(options: WebHandlerOptions): CreateWebHandler {
  const cors = createCors(options.corsOrigins);
  return (listener) => {
    const { messageLimitBytes, elementLimit } = listener;
    const handlers = handlersOf(listener);
    return (request, response) => {
      // A stream that breaks says so by its close, which the call is told of. It must not end the process.
      request.on("error", ignore);
      response.on("error", ignore);
      if (cors.handle(request, response)) return;
      answer(handlers, request, response, { ...options, messageLimitBytes, elementLimit }).catch((error: unknown) => {
        options.logger.debug("An answer did not reach its caller", { why: String(error) });
        response.destroy();
      });
    };
  };
}

async function answer(
  handlers: ReadonlyMap<string, UniversalHandler>,
  request: WebRequest,
  response: WebResponse,
  { scheduler, messageLimitBytes, elementLimit }: WebHandlerOptions & BodyLimits,
): Promise<void> {
  const [path = ""] = (request.url ?? "").split("?", 1);
  const handler = handlers.get(path);
  if (handler === undefined) {
    await universalResponseToNodeResponse(unknownPath(path), response);
    return;
  }
  const read = readRequest(request, response);
  if (read === undefined) {
    const what = "The request names no host, or one that is none.";
    await universalResponseToNodeResponse(badRequest(what), response);
    return;
  }
  if (handler.method.methodKind === "unary" || handler.method.methodKind === "server_streaming") {
    const cancel = scheduler.after(receiveTimeoutMs, () => request.destroy());
    request.once("end", cancel).once("close", cancel);
  }
  const counted = withCountedBody(handler, read, { messageLimitBytes, elementLimit });
  const answered = await handler(withFullNames(handler, counted, messageLimitBytes));
  const isBegun = () => read.contextValues?.get(begunKey) === true;
  const explained = await explain(answered, { method: handler.method, messageLimitBytes, compressions, isBegun });
  await universalResponseToNodeResponse(explained, response);
}

/** The elements of each message are counted before it is decoded, as they are of one that comes by gRPC. */
function withCountedBody(
  { method }: UniversalHandler,
  request: UniversalServerRequest,
  limits: BodyLimits,
): UniversalServerRequest {
  const form = bodyFormOf(method.input, request.header, compressions);
  const { body } = request;
  if (form === undefined || !isBytes(body)) return request;
  return { ...request, body: countBody(body, form, limits) };
}

/** Requests in JSON that is not compressed may name values of enums without their prefix. */
function withFullNames(
  { method }: UniversalHandler,
  request: UniversalServerRequest,
  limitBytes: number,
): UniversalServerRequest {
  const type = request.header.get("content-type")?.split(";", 1)[0];
  const isFramed = type === "application/connect+json";
  const isCompressed = request.header.has(isFramed ? "connect-content-encoding" : "content-encoding");
  const isOne = method.methodKind === "unary" || method.methodKind === "server_streaming";
  const { body } = request;
  if (!isOne || isCompressed || !(isFramed || type === "application/json") || !isBytes(body)) return request;
  const complete = completerOf(method.input);
  if (complete === undefined || Number(request.header.get("content-length") ?? 0) > limitBytes) return request;
  const header = new Headers(request.header);
  // It is that of the bytes as they came, and Node.js has an eye on it.
  header.delete("content-length");
  return { ...request, header, body: complete(body, { isFramed, limitBytes }) };
}

function isBytes(body: UniversalServerRequest["body"]): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}

const completers = new WeakMap<DescMessage, ReturnType<typeof createNameCompleter>>();

function completerOf(schema: DescMessage) {
  if (!completers.has(schema)) completers.set(schema, createNameCompleter(schema));
  return completers.get(schema);
}

/** Undefined where the request cannot be one: no host, or a malformed one. */
function readRequest(request: WebRequest, response: WebResponse): UniversalServerRequest | undefined {
  try {
    const values = createContextValues().set(peerKey, peerOf(request));
    return universalRequestFromNodeRequest(request, response, undefined, values);
  } catch {
    return undefined;
  }
}

function handlersOf(listener: WebListener): ReadonlyMap<string, UniversalHandler> {
  const router = createConnectRouter({
    // Requests in gRPC do not come here.
    grpc: false,
    readMaxBytes: listener.messageLimitBytes,
    requestGate: (context) => checkLength(context, listener.messageLimitBytes),
    acceptCompression: [...compressions],
    // A misspelt field would otherwise be done without, and the record be stored where nobody meant it to be.
    jsonOptions: { ignoreUnknownFields: false },
  });
  for (const service of listener.services) {
    for (const method of service.methods) mount(router, method, listener);
  }
  return new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
}

/** What gRPC-Web puts before a message, in bytes. */
const framePrefixBytes = 5;

/** A request that says its length is refused for it before it is read. The library says neither limit nor setting. */
function checkLength({ method, requestHeader }: HandlerContext, limitBytes: number): void {
  if (method.methodKind !== "unary" && method.methodKind !== "server_streaming") return;
  const length = Number(requestHeader.get("content-length") ?? 0);
  if (length > limitBytes + framePrefixBytes) throw toConnectError(messageTooLarge(limitBytes, length));
}

function mount(router: ConnectRouter, method: DescMethod, listener: WebListener): void {
  const run = (requests: AsyncIterable<AnyMessage>, context: HandlerContext) => {
    context.values.set(begunKey, true);
    return runConnectCall({ listener, method, requests, context, peer: context.values.get(peerKey) });
  };
  const implementations: Readonly<Record<DescMethod["methodKind"], unknown>> = {
    unary: (request: AnyMessage, context: HandlerContext) => theOnly(run(once(request), context)),
    server_streaming: (request: AnyMessage, context: HandlerContext) => run(once(request), context),
    client_streaming: (requests: AsyncIterable<AnyMessage>, context: HandlerContext) => theOnly(run(requests, context)),
    bidi_streaming: run,
  };
  router.rpc(method, implementations[method.methodKind] as MethodImpl<DescMethod>);
}

async function theOnly(answers: AsyncIterable<AnyMessage>): Promise<AnyMessage> {
  let only: AnyMessage | undefined;
  for await (const message of answers) only = message;
  if (only !== undefined) return only;
  throw toConnectError(new TidemarkError({ reason: Reason.INTERNAL, message: "The call ended without an answer." }));
}

async function* once(message: AnyMessage): AsyncIterable<AnyMessage> {
  yield message;
}

function ignore(): void {}
