import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { type Attributes, decodeMetrics, decodeTraces, type ReceivedSpan } from "./otlp-decode.ts";

/** What the receiver does with an export: takes it, refuses it for good, says "busy" or that it is full, or never answers. */
export type ReceiverMood = "takes" | "refuses" | "busy" | "full" | "hangs";

/** A collector for tests: keeps in memory what it is sent, over gRPC and over HTTP with protobuf. */
export interface OtlpReceiver {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT with the protocol grpc. */
  readonly grpcUrl: string;
  /** For OTEL_EXPORTER_OTLP_ENDPOINT with the protocol http/protobuf. */
  readonly httpUrl: string;
  /** Every span so far, in the order of arrival. */
  spans(): readonly ReceivedSpan[];
  metrics(): readonly { readonly name: string; readonly resource: Attributes }[];
  /** Exports that arrived, whether or not they were taken. */
  exports(): number;
  /** How the next exports fare. */
  setMood(mood: ReceiverMood): void;
  /** Resolves with all spans as soon as `isEnough` says so; rejects after `timeoutMs` and names what is there. */
  waitForSpans(
    isEnough: (spans: readonly ReceivedSpan[]) => boolean,
    timeoutMs?: number,
  ): Promise<readonly ReceivedSpan[]>;
  /** Resolves as soon as `holds`, asked at each arrival, says so. */
  waitUntil(holds: () => boolean, timeoutMs?: number): Promise<void>;
  close(): Promise<void>;
}

export async function createOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const metrics: { readonly name: string; readonly resource: Attributes }[] = [];
  const waiting = new Set<() => void>();
  let exports = 0;
  let mood: ReceiverMood = "takes";

  const receive = (signal: "traces" | "metrics", bytes: Uint8Array): ReceiverMood => {
    exports += 1;
    if (mood === "takes" && signal === "traces") spans.push(...decodeTraces(bytes));
    if (mood === "takes" && signal === "metrics") metrics.push(...decodeMetrics(bytes));
    for (const look of [...waiting]) look();
    return mood;
  };
  const waitUntil = (holds: () => boolean, timeoutMs = 10_000, describe = () => `${exports} exports arrived`) =>
    new Promise<void>((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer);
        waiting.delete(look);
        settle();
      };
      const look = () => {
        if (holds()) end(resolve);
      };
      const timer = setTimeout(
        () => end(() => reject(new Error(`Not received within ${timeoutMs} ms: ${describe()}`))),
        timeoutMs,
      );
      waiting.add(look);
      look();
    });

  const grpc = await listenGrpc(receive);
  const http = await listenHttp(receive);
  return {
    grpcUrl: grpc.url,
    httpUrl: http.url,
    spans: () => [...spans],
    metrics: () => [...metrics],
    exports: () => exports,
    setMood: (next) => {
      mood = next;
    },
    waitForSpans: async (isEnough, timeoutMs) => {
      const names = () => `spans so far: ${spans.map(({ name }) => name).join(", ") || "none"}`;
      await waitUntil(() => isEnough(spans), timeoutMs, names);
      return [...spans];
    },
    waitUntil: (holds, timeoutMs) => waitUntil(holds, timeoutMs),
    close: async () => {
      grpc.close();
      await http.close();
    },
  };
}

type Receive = (signal: "traces" | "metrics", bytes: Uint8Array) => ReceiverMood;

async function listenGrpc(receive: Receive): Promise<{ readonly url: string; readonly close: () => void }> {
  const server = new Server();
  for (const [signal, path] of [
    ["traces", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"],
    ["metrics", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"],
  ] as const) {
    const take = (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
      switch (receive(signal, call.request)) {
        case "takes":
          return answer(null, Buffer.alloc(0));
        case "refuses":
          return answer({ code: status.INVALID_ARGUMENT, details: "refused" });
        case "busy":
          return answer({ code: status.UNAVAILABLE, details: "busy" });
        case "full":
          return answer({ code: status.RESOURCE_EXHAUSTED, details: "full" });
        case "hangs":
      }
    };
    server.addService(exportService(path), { export: take });
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { url: `http://127.0.0.1:${port}`, close: () => server.forceShutdown() };
}

/** A unary method whose messages stay bytes. */
function exportService(path: string): ServiceDefinition {
  const asIs = (bytes: Buffer) => bytes;
  return {
    export: {
      path,
      requestStream: false,
      responseStream: false,
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    },
  };
}

async function listenHttp(receive: Receive): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const server = createServer((request, response) => {
    const signal = { "/v1/traces": "traces", "/v1/metrics": "metrics" }[request.url ?? ""];
    if (signal !== "traces" && signal !== "metrics") {
      response.writeHead(404).end();
      return;
    }
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => answerHttp(receive(signal, bodyOf(request, Buffer.concat(chunks))), response));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function bodyOf(request: IncomingMessage, bytes: Buffer): Buffer {
  return request.headers["content-encoding"] === "gzip" ? gunzipSync(bytes) : bytes;
}

function answerHttp(mood: ReceiverMood, response: ServerResponse): void {
  switch (mood) {
    case "takes":
      response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
      break;
    case "refuses":
      response.writeHead(400).end();
      break;
    case "busy":
      response.writeHead(503).end();
      break;
    case "full":
      response.writeHead(429).end();
      break;
    case "hangs":
  }
}
