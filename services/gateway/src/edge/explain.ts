/** What the protocol library answers by itself, with the reason and the way out that every other error has. */
import type { DescMethod } from "@bufbuild/protobuf";
import type { Compression, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { Reason } from "@tidemark/proto/common/v1";
import { messageTooLarge, TidemarkError } from "@tidemark/rpc";
import { deadlinePassed } from "./connect-call.ts";
import { toErrorBody } from "./connect-error.ts";
import { explainStream, ownBytesMax } from "./explain-stream.ts";

/** An error as the body of a response. */
export function errorResponse(error: TidemarkError, status?: number): UniversalServerResponse {
  const body = toErrorBody(error);
  return {
    status: status ?? body.status,
    header: new Headers({ "content-type": "application/json" }),
    body: once(new TextEncoder().encode(JSON.stringify(body.json))),
  };
}

export function unknownPath(path: string): UniversalServerResponse {
  const message =
    `There is nothing at ${path.slice(0, 200)}. Calls are POST /package.Service/Method, ` +
    "for example /tidemark.log.v1.LogService/Fetch; list the services by reflection.";
  return errorResponse(new TidemarkError({ reason: Reason.UNSUPPORTED, message }), 404);
}

export function badRequest(message: string): UniversalServerResponse {
  return errorResponse(new TidemarkError({ reason: Reason.INVALID_ARGUMENT, message }));
}

/** What has to be known of a call to say what it failed with. */
interface Answering {
  readonly method: Pick<DescMethod, "methodKind">;
  readonly messageLimitBytes: number;
  /** Those that an answer may be compressed with. */
  readonly compressions: readonly Compression[];
  /** Whether the call was handed on, up to now: before that whatever is wrong is the request. */
  readonly isBegun: () => boolean;
}

/** The library's own refusals of a request say nothing, or say it without our detail. */
export async function explain(response: UniversalServerResponse, call: Answering): Promise<UniversalServerResponse> {
  const { methodKind } = call.method;
  switch (response.status) {
    case 415:
      return withHeaders(response, refusal(`The content type is none that is spoken here. ${typeOf(methodKind)}`, 415));
    case 405:
      return withHeaders(response, refusal("Calls are made by POST.", 405));
    case 505:
      return withHeaders(response, refusal("This call streams in both directions: it needs HTTP/2.", 505));
    default:
      if (isUndetailedError(response)) return addDetail(response, call);
      return explainStream(response, (error) => judge(error, call), call.compressions);
  }
}

function typeOf(methodKind: DescMethod["methodKind"]): string {
  if (methodKind === "unary") return "Send `Content-Type: application/json`.";
  return (
    "This call is a stream: send `Content-Type: application/connect+json`, " +
    "each message behind one byte of flags and four of its length."
  );
}

function refusal(message: string, status: number): UniversalServerResponse {
  return errorResponse(new TidemarkError({ reason: Reason.INVALID_ARGUMENT, message }), status);
}

function withHeaders(from: UniversalServerResponse, to: UniversalServerResponse): UniversalServerResponse {
  const header = new Headers(from.header);
  header.set("content-type", "application/json");
  return { ...to, header };
}

function isUndetailedError({ status, header }: UniversalServerResponse): boolean {
  return status >= 400 && new Headers(header).get("content-type") === "application/json";
}

/** A unary call that failed before its handler: malformed JSON, too large, an encoding that is not known. */
async function addDetail(response: UniversalServerResponse, call: Answering): Promise<UniversalServerResponse> {
  const bytes = await collect(response.body);
  const as = (body: Uint8Array): UniversalServerResponse => ({ ...response, body: once(body) });
  try {
    const encoding = new Headers(response.header).get("content-encoding");
    const compression = call.compressions.find(({ name }) => name === encoding);
    const plain = (await compression?.decompress(bytes, ownBytesMax)) ?? bytes;
    const error = judge(JSON.parse(new TextDecoder().decode(plain)) as Readonly<Record<string, unknown>>, call);
    return error === undefined ? as(bytes) : errorResponse(error);
  } catch {
    // No error of the library after all.
    return as(bytes);
  }
}

/** What an error of the library is. Undefined where it is none, or has its details. */
function judge(
  { code, message, details }: Readonly<Record<string, unknown>>,
  { messageLimitBytes, isBegun }: Answering,
): TidemarkError | undefined {
  if (details !== undefined || typeof code !== "string" || typeof message !== "string") return undefined;
  if (code === "deadline_exceeded") return deadlinePassed();
  if (code === "resource_exhausted") return messageTooLarge(messageLimitBytes, undefined);
  if (code === "internal" && !isBegun()) return unreadable(message);
  const reason = reasons[code];
  return reason === undefined ? undefined : new TidemarkError({ reason, message });
}

/** Whoever decodes bytes that are no message calls that a defect. */
function unreadable(why: string): TidemarkError {
  return new TidemarkError({ reason: Reason.INVALID_ARGUMENT, message: `The request cannot be read: ${why}` });
}

/**
 * By the codes of the Connect protocol. Where the request was wrong nothing was called: the effect is certainly none. An
 * answer that cannot be written is of a call that was made.
 */
const reasons: Readonly<Record<string, Reason>> = {
  invalid_argument: Reason.INVALID_ARGUMENT,
  unimplemented: Reason.UNSUPPORTED,
  internal: Reason.INTERNAL,
};

async function collect(body: UniversalServerResponse["body"]): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body ?? []) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
