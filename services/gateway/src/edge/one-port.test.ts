import { connect as connectHttp2, constants } from "node:http2";
import { connect as connectSocket, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { ConnectError, createClient as createConnectClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { ErrorDetailSchema, Outcome, Reason } from "@tidemark/proto/common/v1";
import { Health } from "@tidemark/proto/grpc/health/v1";
import { type FetchRequest, LogService } from "@tidemark/proto/log/v1";
import { createRpcClient, type TidemarkError } from "@tidemark/rpc";
import { waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { runtime, startWorld, type World } from "../testing/world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());
beforeEach(() => world.reset());

const fetchPath = "/tidemark.log.v1.LogService/Fetch";
const subscribePath = "/tidemark.log.v1.LogService/Subscribe";
const producePath = "/tidemark.log.v1.LogService/Produce";
const json = { "content-type": "application/json" };
const hello = JSON.stringify({ topic: "orders", partition: 0, records: [{ text: "hello" }] });

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: {
    readonly code?: string;
    readonly message?: string;
    readonly details?: readonly { type: string; debug?: object }[];
  } & Record<string, unknown>;
}

/** By HTTP/1.1, as plain curl does. */
async function http1(path: string, init: RequestInit = {}, port = world.port): Promise<Answer> {
  const response = await globalThis.fetch(`http://127.0.0.1:${port}${path}`, {
    method: "POST",
    headers: json,
    ...init,
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: Object.fromEntries(response.headers),
    body: text === "" ? {} : (JSON.parse(text) as Answer["body"]),
  };
}

/** By HTTP/2 without TLS, as `curl --http2-prior-knowledge` does. */
function http2(path: string, body: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://127.0.0.1:${world.port}`);
    session.on("error", reject);
    const stream = session.request({ ":method": "POST", ":path": path, ...json });
    let headers: Record<string, unknown> = {};
    let text = "";
    stream.on("response", (received) => (headers = { ...received }));
    stream.on("data", (piece: Buffer) => (text += piece.toString()));
    stream.on("error", reject);
    stream.on("close", () => {
      session.close();
      resolve({ status: Number(headers[":status"]), headers, body: JSON.parse(text) as Answer["body"] });
    });
    stream.end(body);
  });
}

/** A connection whose bytes the test writes itself. */
function raw(port = world.port): { readonly socket: Socket; received: () => string; closed: () => Promise<boolean> } {
  const socket = connectSocket({ host: "127.0.0.1", port });
  let text = "";
  let isClosed = false;
  socket.on("data", (piece) => (text += piece.toString("latin1")));
  socket.on("error", () => undefined);
  socket.on("close", () => (isClosed = true));
  return { socket, received: () => text, closed: () => waitFor("the connection to be closed", () => isClosed) };
}

const afterInput = () => new Promise<void>((resolve) => runtime.scheduler.afterInput(resolve));
const baseUrl = () => `http://127.0.0.1:${world.port}`;
const detail = ({ body }: Answer) => body.details?.[0]?.debug;

describe("one port", () => {
  it("speaks JSON by HTTP/1.1, as plain curl asks for it", async () => {
    expect(await http1(producePath, { body: hello })).toMatchObject({
      status: 200,
      body: { results: [{ baseOffset: "0", records: 1, leaderEpoch: 1 }] },
    });
  });

  it("speaks JSON by HTTP/2 without TLS", async () => {
    expect(await http2(producePath, hello)).toMatchObject({ status: 200, body: { results: [{ baseOffset: "0" }] } });
  });

  it("speaks gRPC", async () => {
    const { results } = await world.log.produce({
      topic: "orders",
      partition: 0,
      records: [{ valueForm: { case: "text", value: "hello" } }],
    });
    expect(results).toMatchObject([{ baseOffset: 0n }]);
  });

  it("speaks gRPC-Web", async () => {
    const client = createConnectClient(LogService, createGrpcWebTransport({ baseUrl: baseUrl() }));
    const { results } = await client.produce({
      topic: "orders",
      partition: 0,
      records: [{ valueForm: { case: "text", value: "hello" } }],
    });
    expect(results).toMatchObject([{ baseOffset: 0n }]);
  });

  it("speaks Connect in protobuf too", async () => {
    const transport = createConnectTransport({ baseUrl: baseUrl(), useBinaryFormat: true });
    const { results } = await createConnectClient(LogService, transport).produce({
      topic: "orders",
      partition: 0,
      records: [{ valueForm: { case: "text", value: "hello" } }],
    });
    expect(results).toMatchObject([{ baseOffset: 0n }]);
  });

  it("knows HTTP/2 and HTTP/1.1 apart though their first bytes come one by one", async () => {
    const one = raw();
    for (const byte of "POST") {
      one.socket.write(byte);
      await afterInput();
    }
    one.socket.write(
      ` ${producePath} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${hello.length}\r\nConnection: close\r\n\r\n${hello}`,
    );
    await one.closed();
    expect(one.received()).toMatch(/^HTTP\/1\.1 200 OK/);
    const two = raw();
    for (const byte of "PRI ") {
      two.socket.write(byte);
      await afterInput();
    }
    two.socket.write("* HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    // The server's own settings: a frame of type 4.
    await waitFor("the server's settings", () => two.received().charCodeAt(3) === 4);
    two.socket.destroy();
  });

  it("answers health and reflection by every protocol", async () => {
    const transport = createGrpcWebTransport({ baseUrl: baseUrl() });
    expect((await createConnectClient(Health, transport).check({})).status).toBe(1);
    expect((await createRpcClient(Health, world.channel).check({})).status).toBe(1);
    expect(await http1("/grpc.health.v1.Health/Check", { body: "{}" })).toMatchObject({
      status: 200,
      body: { status: "SERVING" },
    });
    const ask = JSON.stringify({ listServices: "" });
    const framed = Buffer.concat([Buffer.from([0, 0, 0, 0, ask.length]), Buffer.from(ask)]);
    const listed = await new Promise<string>((resolve, reject) => {
      const session = connectHttp2(baseUrl());
      session.on("error", reject);
      const stream = session.request({
        ":method": "POST",
        ":path": "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "content-type": "application/connect+json",
      });
      let text = "";
      stream.on("data", (piece: Buffer) => (text += piece.toString()));
      stream.on("close", () => {
        session.close();
        resolve(text);
      });
      stream.end(framed);
    });
    expect(listed).toContain("tidemark.log.v1.LogService");
  });

  it("takes the values of enums without their prefix too, and as numbers", async () => {
    for (const format of ["TEXT", "text", "FORMAT_TEXT", 2]) {
      await http1(fetchPath, { body: JSON.stringify({ topic: "orders", partitions: [{ partition: 0 }], format }) });
    }
    expect(world.broker(1).fetched.map(({ format }) => format)).toEqual([2, 2, 2, 2]);
  });

  it("reads compressed requests", async () => {
    const body = gzipSync(hello);
    expect(await http1(producePath, { body, headers: { ...json, "content-encoding": "gzip" } })).toMatchObject({
      status: 200,
    });
  });
});

describe("an error", () => {
  it("carries its reason and the way out in JSON", async () => {
    const answer = await http1(fetchPath, { body: JSON.stringify({ topic: "nope" }) });
    expect(answer).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect(answer.body.message).toContain("CreateTopic");
    expect(detail(answer)).toMatchObject({ reason: "REASON_UNKNOWN_TOPIC", outcome: "OUTCOME_NOT_APPLIED" });
  });

  it("carries the same details over gRPC-Web as over gRPC", async () => {
    const client = createConnectClient(LogService, createGrpcWebTransport({ baseUrl: baseUrl() }));
    const error = await client.fetch({ topic: "nope" }).catch((thrown: unknown) => ConnectError.from(thrown));
    expect(error).toBeInstanceOf(ConnectError);
    const [told] = (error as ConnectError).findDetails(ErrorDetailSchema);
    expect(told).toMatchObject({ reason: Reason.UNKNOWN_TOPIC, topic: "nope" });
    await expect(world.log.fetch({ topic: "nope" })).rejects.toMatchObject({ reason: told?.reason });
  });

  it.each([
    { says: "malformed JSON", body: '{"topic":', text: "JSON" },
    { says: "a misspelt field", body: '{"topik":"orders"}', text: "topik" },
    { says: "a wrong type", body: '{"topic":7}', text: "topic" },
    {
      says: "a number that is no value of its enum",
      body: '{"topic":"orders","format":99}',
      text: "FORMAT_TEXT = 2",
    },
    { says: "a name that is no value of its enum", body: '{"topic":"orders","format":"TEXTS"}', text: "TEXTS" },
    {
      says: "a message above the limit",
      body: JSON.stringify({ topic: "x".repeat(5 * 2 ** 20) }),
      reason: "REASON_MESSAGE_TOO_LARGE",
      text: "above the 4194304 that this process takes at once (rpc.receive.max.bytes)",
    },
  ])("for $says is typed, and says what is wrong", async ({ body, reason = "REASON_INVALID_ARGUMENT", text }) => {
    const answer = await http1(fetchPath, { body });
    expect(answer.status).toBe(400);
    expect(answer.body.message).toContain(text);
    expect(detail(answer)).toMatchObject({ reason });
  });

  it("for what expands beyond the limit is typed", async () => {
    const body = gzipSync(JSON.stringify({ topic: "x".repeat(50 * 2 ** 20) }));
    const answer = await http1(fetchPath, { body, headers: { ...json, "content-encoding": "gzip" } });
    expect(detail(answer)).toMatchObject({ reason: "REASON_MESSAGE_TOO_LARGE" });
    expect(answer.body.message).toContain("rpc.receive.max.bytes");
  });

  it("for a message of too many elements is typed, in JSON and in what is compressed, before it is decoded", async () => {
    // A field that is not known: whoever decodes it says that, and not how many there are.
    const body = `{"nothing":[${"{},".repeat(250_000)}{}]}`;
    const compressed = { body: gzipSync(body), headers: { ...json, "content-encoding": "gzip" } };
    for (const init of [{ body }, compressed]) {
      const answer = await http1(producePath, init);
      expect(detail(answer)).toMatchObject({ reason: "REASON_MESSAGE_TOO_LARGE", outcome: "OUTCOME_NOT_APPLIED" });
      expect(answer.body.message).toContain("rpc.receive.max.elements");
    }
  });

  it("for a message of too many elements is as typed in a stream in JSON", async () => {
    const message = Buffer.from(`{"records":[${"{},".repeat(250_000)}{}]}`);
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    const headers = { "content-type": "application/connect+json" };
    const path = "/tidemark.log.v1.LogService/ProduceStream";
    const response = await new Promise<string>((resolve, reject) => {
      const session = connectHttp2(baseUrl());
      session.on("error", reject);
      const stream = session.request({ ":method": "POST", ":path": path, ...headers });
      let text = "";
      stream.on("data", (piece: Buffer) => (text += piece.toString()));
      stream.on("error", reject);
      stream.on("close", () => {
        session.close();
        resolve(text);
      });
      stream.end(Buffer.concat([prefix, message]));
    });
    expect(response).toContain("rpc.receive.max.elements");
    expect(response).toContain("OUTCOME_UNKNOWN");
  });

  it("for a message above the limit is as typed over gRPC-Web", async () => {
    const client = createConnectClient(LogService, createGrpcWebTransport({ baseUrl: baseUrl() }));
    const topic = "x".repeat(5 * 2 ** 20);
    const error = await client.fetch({ topic }).catch((thrown: unknown) => ConnectError.from(thrown));
    expect((error as ConnectError).findDetails(ErrorDetailSchema)).toMatchObject([
      { reason: Reason.MESSAGE_TOO_LARGE, outcome: Outcome.NOT_APPLIED },
    ]);
    expect((error as ConnectError).rawMessage).toContain("rpc.receive.max.bytes");
  });

  it.each([
    { says: "a path that is none", path: "/nothing", init: {}, status: 404, text: "reflection" },
    { says: "a browser that looks in", path: "/", init: { method: "GET" }, status: 404, text: "POST" },
    { says: "a form", path: fetchPath, init: { body: "x", headers: {} }, status: 415, text: "application/json" },
    { says: "a wrong method", path: fetchPath, init: { method: "PUT", body: "{}" }, status: 405, text: "POST" },
  ])("for $says points the way", async ({ path, init, status, text }) => {
    const answer = await http1(path, init);
    expect(answer.status).toBe(status);
    expect(answer.body.message).toContain(text);
    expect(detail(answer)).toHaveProperty("reason");
  });

  it("for a stream that is asked for as one message says how it is asked for", async () => {
    const answer = await http1(subscribePath, { body: "{}" });
    expect(answer.status).toBe(415);
    expect(answer.body.message).toContain("application/connect+json");
  });

  it.each([
    { says: "no frame at all", body: Buffer.from("garbage"), reason: "REASON_MESSAGE_TOO_LARGE" },
    { says: "a frame that breaks off", body: Buffer.from([0, 0, 0, 0, 9, 0x7b]), reason: "REASON_INVALID_ARGUMENT" },
    { says: "no JSON", body: Buffer.from([0, 0, 0, 0, 1, 0x7b]), reason: "REASON_INVALID_ARGUMENT" },
    { says: "two messages", body: Buffer.from("\0\0\0\0\x02{}\0\0\0\0\x02{}"), reason: "REASON_UNSUPPORTED" },
  ])("for a stream whose request is $says is as typed as any other", async ({ body, reason }) => {
    const headers = { "content-type": "application/connect+json" };
    const response = await globalThis.fetch(`${baseUrl()}${subscribePath}`, { method: "POST", headers, body });
    const end = Buffer.from(await response.arrayBuffer());
    expect([end[0], end.readUInt32BE(1)]).toEqual([2, end.length - 5]);
    expect(JSON.parse(end.subarray(5).toString())).toMatchObject({
      error: { details: [{ debug: { reason, outcome: "OUTCOME_NOT_APPLIED" } }, {}] },
    });
  });

  it.each(["", "Host: [\r\n", "Host: a b\r\n"])(
    "for a request with no host that is one (%j) ends nothing else",
    async (host) => {
      const own = raw();
      own.socket.write(
        `POST ${fetchPath} HTTP/1.0\r\n${host}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
      );
      await own.closed();
      expect(own.received()).toMatch(/^HTTP\/1\.1 400/);
      expect((await http1(producePath, { body: hello })).status).toBe(200);
    },
  );

  it("for bytes of another protocol ends that connection and nothing else", async () => {
    const own = raw();
    own.socket.write("SSH-2.0-OpenSSH_9.2\r\n");
    await own.closed();
    expect((await http1(producePath, { body: hello })).status).toBe(200);
  });
});

describe("a call from the web", () => {
  const waiting = () => {
    const seen: { aborted?: TidemarkError; timeoutMs?: number | undefined } = {};
    world.broker(1).fetch = (_: FetchRequest, { signal, timeoutMs }) => {
      seen.timeoutMs = timeoutMs();
      return new Promise((__, reject) => {
        signal.addEventListener(
          "abort",
          () => {
            seen.aborted = signal.reason as TidemarkError;
            reject(seen.aborted);
          },
          { once: true },
        );
      });
    };
    return seen;
  };
  const longPoll = JSON.stringify({ topic: "orders", partitions: [{ partition: 0 }], maxWaitMs: 50_000 });

  it("has its deadline kept and passed on", async () => {
    const seen = waiting();
    // Long enough for a busy machine to bring the call to the broker within it.
    const answer = await http1(fetchPath, { body: longPoll, headers: { ...json, "connect-timeout-ms": "2000" } });
    expect(answer.body.code).toBe("deadline_exceeded");
    expect(seen.timeoutMs).toBeLessThan(2000);
  });

  it.each(["1", "2", "60"])("says that its effect is not known where its %s ms pass first", async (ms) => {
    world.broker(1).produce = () => new Promise(() => undefined);
    const { body } = await http1(producePath, { body: hello, headers: { ...json, "connect-timeout-ms": ms } });
    expect(body.code).toBe("deadline_exceeded");
    expect(body.details?.[0]?.debug).toMatchObject({ reason: "REASON_DEADLINE_EXCEEDED", outcome: "OUTCOME_UNKNOWN" });
  });

  it("49: gets a deadline where it names none", async () => {
    const seen = waiting();
    const abort = new AbortController();
    const call = http1(fetchPath, { body: longPoll, signal: abort.signal }).catch(() => undefined);
    await waitFor("the call to arrive", () => seen.timeoutMs !== undefined);
    expect(seen.timeoutMs).toBeLessThanOrEqual(5000);
    abort.abort();
    await call;
  });

  it("54: is given up when its caller vanishes", async () => {
    const seen = waiting();
    const own = raw();
    own.socket.write(
      `POST ${fetchPath} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${longPoll.length}\r\n\r\n${longPoll}`,
    );
    await waitFor("the call to arrive", () => seen.timeoutMs !== undefined);
    own.socket.resetAndDestroy();
    await waitFor("the leader to be told", () => seen.aborted !== undefined);
    expect(seen.aborted?.reason).toBe(Reason.CANCELLED);
  });

  it("54: is given up when its HTTP/2 stream is reset", async () => {
    const seen = waiting();
    const session = connectHttp2(baseUrl());
    const stream = session.request({ ":method": "POST", ":path": fetchPath, ...json });
    stream.on("error", () => undefined);
    stream.end(longPoll);
    await waitFor("the call to arrive", () => seen.timeoutMs !== undefined);
    stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    await waitFor("the leader to be told", () => seen.aborted !== undefined);
    expect(seen.aborted?.reason).toBe(Reason.CANCELLED);
    session.close();
  });

  it("passes its trace on", async () => {
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    await http1(producePath, { body: hello, headers: { ...json, traceparent } });
    expect(world.broker(1).calls[0]?.traceparent).toBe(traceparent);
  });
});

describe("a gateway that stops", () => {
  it("54: answers what it was asked before, tells long polls at once, and frees its port", async () => {
    const own = await startWorld();
    let settle: (() => void) | undefined;
    own.broker(1).produce = () =>
      new Promise((resolve) => {
        settle = () => resolve({ results: [{ partition: 0, baseOffset: 9n }] });
      });
    own.broker(2).fetch = (_, { signal }) =>
      new Promise((__, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true }),
      );
    const produced = http1(producePath, { body: hello }, own.port);
    const poll = JSON.stringify({ topic: "orders", partitions: [{ partition: 1 }], maxWaitMs: 50_000 });
    const polled = http1(fetchPath, { body: poll }, own.port);
    await waitFor("both to arrive", () => settle !== undefined && own.broker(2).fetched.length === 1);
    const silent = raw(own.port);
    await waitFor("the silent connection", () => own.server.connections >= 3);
    const stopped = own.server.stop(20_000);
    expect(await polled).toMatchObject({ status: 503, body: { code: "unavailable" } });
    settle?.();
    expect(await produced).toMatchObject({ status: 200, body: { results: [{ baseOffset: "9" }] } });
    await stopped;
    await silent.closed();
    await expect(http1(producePath, { body: hello }, own.port)).rejects.toThrow();
    await own.stop();
  });

  it("46: holds a stream back whose reader does not read, and is not held up by it", async () => {
    const own = await startWorld({ listener: { messageLimitBytes: 64 * 2 ** 20 } });
    let sent = 0;
    own.controller.metadata.watch = async function* () {
      for (; sent < 10_000; sent++) yield { revision: BigInt(sent), removed: ["k".repeat(60_000)] };
    };
    const reader = raw(own.port);
    const body = Buffer.from("{}");
    const framed = Buffer.concat([Buffer.from([0, 0, 0, 0, body.length]), body]);
    reader.socket.pause();
    reader.socket.write(
      "POST /tidemark.admin.v1.MetadataService/Watch HTTP/1.1\r\nHost: x\r\n" +
        `Content-Type: application/connect+json\r\nContent-Length: ${framed.length}\r\n\r\n`,
    );
    reader.socket.write(framed);
    let last = -1;
    await waitFor("the stream to stand still", () => {
      const stands = sent > 0 && sent === last;
      last = sent;
      return stands;
    });
    // What waits for the reader is bounded: buffers on the way, and the queue of one stream.
    expect(sent * 60_000).toBeLessThan(48 * 2 ** 20);
    await own.server.stop(100);
    reader.socket.resume();
    await reader.closed();
    await own.stop();
  });
});

describe("a connection", () => {
  it("59: that says nothing is closed in time", async () => {
    const own = await startWorld({ listener: { connections: { handshakeTimeoutMs: 150 } } });
    const silent = raw(own.port);
    const half = raw(own.port);
    half.socket.write("PO");
    const headers = raw(own.port);
    headers.socket.write(`POST ${fetchPath} HTTP/1.1\r\nHost: x\r\n`);
    await Promise.all([silent.closed(), half.closed(), headers.closed()]);
    await own.stop();
  });
});
