import { cors as protocols } from "@connectrpc/connect";
import type { WebRequest, WebResponse } from "@tidemark/rpc";
import { traceIdTrailer } from "@tidemark/telemetry";

/** Headers of ours beside those of the protocols that pages may send. */
const ownHeaders = ["Traceparent", "Tracestate"];
/** The same for what pages may read: as gRPC-Web and Connect put it into headers. */
const ownExposed = [traceIdTrailer, `trailer-${traceIdTrailer}`];
/** How long a browser may remember a preflight, in seconds: two hours, the most that any of them honours. */
const maxAgeSeconds = 7200;

/** Lets pages of some origins call this process. `*` among them stands for every origin. */
export interface Cors {
  /** Sets the headers of an answer. True: it was a preflight, and is answered. */
  handle(request: WebRequest, response: WebResponse): boolean;
}

export function createCors(origins: readonly string[]): Cors {
  const allowed = new Set(origins);
  const isAllowed = (origin: string) => allowed.has("*") || allowed.has(origin);

  return {
    handle(request, response) {
      const { origin } = request.headers;
      if (origin === undefined) return false;
      const isPreflight = request.method === "OPTIONS" && "access-control-request-method" in request.headers;
      // A cache must not hand one origin's answer to another.
      response.setHeader("Vary", "Origin");
      if (isAllowed(origin)) {
        response.setHeader("Access-Control-Allow-Origin", origin);
        response.setHeader("Access-Control-Expose-Headers", [...protocols.exposedHeaders, ...ownExposed].join(", "));
      }
      if (!isPreflight) return false;
      if (isAllowed(origin)) {
        response.setHeader("Access-Control-Allow-Methods", protocols.allowedMethods.join(", "));
        response.setHeader("Access-Control-Allow-Headers", [...protocols.allowedHeaders, ...ownHeaders].join(", "));
        response.setHeader("Access-Control-Max-Age", String(maxAgeSeconds));
      }
      response.statusCode = isAllowed(origin) ? 204 : 403;
      response.end();
      return true;
    },
  };
}
