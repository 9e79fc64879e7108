import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { openMetricsFormat, wantsOpenMetrics } from "./open-metrics.ts";
import type { MetricsFormat } from "./prometheus-reader.ts";

/** Where Prometheus fetches the metrics. */
export interface MetricsEndpoint {
  readonly host: string;
  /** The port that was bound, also where any free one was asked for. */
  readonly port: number;
  close(): Promise<void>;
}

/** A port that is taken, an address that is not this machine's, no permission. */
export class MetricsListenerError extends Error {
  constructor(at: { readonly host: string; readonly port: number }, cause: Error) {
    const code = "code" in cause ? String(cause.code) : cause.message;
    const remedy = "give it a free port of this machine";
    super(`metrics.listener ${at.host}:${at.port} cannot be listened on (${code}): ${remedy}`, { cause });
    this.name = "MetricsListenerError";
  }
}

/** More scrapers than that at once are no scrapers. */
const maxConnections = 32;
const textFormat = "text/plain; version=0.0.4; charset=utf-8";
const contentTypes: Readonly<Record<MetricsFormat, string>> = { text: textFormat, openMetrics: openMetricsFormat };

/** What the endpoint tells. */
export interface MetricsPages {
  readonly render: (format: MetricsFormat) => Promise<string>;
  readonly isReady: () => boolean;
  /** What `/debug` tells, as JSON. Undefined: there is no such page. */
  readonly describe: (() => unknown) | undefined;
}

/**
 * Serves what `render` gives at `/metrics` over HTTP, and at `/ready` 200 or 503 for probes that speak no gRPC, and `/debug` where that is asked for. Rejects with
 * a `MetricsListenerError`.
 */
export async function startMetricsEndpoint(
  at: { readonly host: string; readonly port: number },
  { render, isReady, describe }: MetricsPages,
): Promise<MetricsEndpoint> {
  const server = createServer((request, response) => {
    const refusal = refusalOf(request, describe !== undefined);
    if (refusal !== undefined) return answer(response, refusal.status, `${refusal.text}\n`);
    if (pathOf(request) === "/ready") {
      return isReady() ? answer(response, 200, "ready\n") : answer(response, 503, "not ready\n");
    }
    if (describe !== undefined && pathOf(request) === "/debug") {
      return answerDebug(response, describe);
    }
    const format = wantsOpenMetrics(request.headers.accept) ? "openMetrics" : "text";
    render(format).then(
      (text) => answer(response, 200, text, contentTypes[format]),
      (error: unknown) => answer(response, 500, `The metrics cannot be read: ${String(error)}\n`),
    );
  });
  server.maxConnections = maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(new MetricsListenerError(at, error)));
    server.listen(at.port, at.host, resolve);
  });
  return {
    host: at.host,
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Whatever it is that cannot be told: who asks because something is wrong must not end the process. */
function answerDebug(response: ServerResponse, describe: () => unknown): void {
  try {
    answer(response, 200, `${JSON.stringify(describe(), null, 2)}\n`, "application/json");
  } catch (error) {
    answer(response, 500, `The state cannot be told: ${String(error)}\n`);
  }
}

function pathOf({ url = "" }: IncomingMessage): string | undefined {
  return url.split("?", 1)[0];
}

function refusalOf(
  request: IncomingMessage,
  hasDebug: boolean,
): { readonly status: number; readonly text: string } | undefined {
  const { method } = request;
  const path = pathOf(request);
  if (path === "/debug" && !hasDebug) return { status: 404, text: "This page is off: debug.page turns it on." };
  if (path !== "/metrics" && path !== "/ready" && path !== "/debug") {
    return { status: 404, text: "The metrics are at /metrics." };
  }
  if (method !== "GET" && method !== "HEAD") return { status: 405, text: "Use GET." };
  return undefined;
}

function answer(response: ServerResponse, status: number, text: string, format = textFormat): void {
  response.writeHead(status, { "content-type": format });
  response.end(text);
}
