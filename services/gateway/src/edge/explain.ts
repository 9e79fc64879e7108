/** What the protocol library answers by itself, with the reason and the way out that every other error has. */
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import { Reason } from "@tidemark/proto/common/v1";
import { messageTooLarge, TidemarkError } from "@tidemark/rpc";
import { deadlinePassed } from "./connect-call.ts";
import { toErrorBody } from "./connect-error.ts";

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

/** The library's own refusals of a request say nothing, or say it without our detail. */
export async function explain(
  response: UniversalServerResponse,
  messageLimitBytes: number,
): Promise<UniversalServerResponse> {
  switch (response.status) {
    case 415:
      return withHeaders(
        response,
        refusal("The content type is none that is spoken here. Send `Content-Type: application/json`.", 415),
      );
    case 405:
      return withHeaders(response, refusal("Calls are made by POST.", 405));
    case 505:
      return withHeaders(response, refusal("This call streams in both directions: it needs HTTP/2.", 505));
    default:
      return isUndetailedError(response) ? addDetail(response, messageLimitBytes) : response;
  }
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
async function addDetail(
  response: UniversalServerResponse,
  messageLimitBytes: number,
): Promise<UniversalServerResponse> {
  const bytes = await collect(response.body);
  const as = (body: Uint8Array): UniversalServerResponse => ({ ...response, body: once(body) });
  try {
    const { code, message, details } = JSON.parse(new TextDecoder().decode(bytes)) as Readonly<Record<string, unknown>>;
    if (details !== undefined || typeof code !== "string" || typeof message !== "string") return as(bytes);
    if (code === "deadline_exceeded") return errorResponse(deadlinePassed());
    if (code === "resource_exhausted") return errorResponse(messageTooLarge(messageLimitBytes, undefined));
    const reason = reasons[code];
    return reason === undefined ? as(bytes) : errorResponse(new TidemarkError({ reason, message }));
  } catch {
    // Compressed, or no error of the library after all.
    return as(bytes);
  }
}

/** By the codes of the Connect protocol. Nothing was called: the effect is certainly none. */
const reasons: Readonly<Record<string, Reason>> = {
  invalid_argument: Reason.INVALID_ARGUMENT,
  unimplemented: Reason.UNSUPPORTED,
};

async function collect(body: UniversalServerResponse["body"]): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body ?? []) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
