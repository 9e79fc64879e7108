import { type ClientHttp2Session, connect as connectHttp2, constants, type IncomingHttpHeaders } from "node:http2";
import { connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { status } from "@grpc/grpc-js";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { type Acks, ProduceRequestSchema } from "@tidemark/proto/log/v1";
import { createDeferred, createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { type ConnectionLimits, createProcessBudget } from "./index.ts";
import { cleanUp, eventually, openClient, runtime, startServer } from "./testing/harness.ts";
import { EXPLAINED_REFUSALS } from "./wire/budgets.ts";

const KiB = 1024;

/** A server with limits on connections, and what it refused: "limit listener". */
const limited = async (connections: Partial<ConnectionLimits>) => {
  const refused: string[] = [];
  const time = createManualTime();
  const { port, server } = await startServer(
    { produce: () => ({}) },
    {
      // Keepalive closes a silent connection too, only later.
      listener: { connections, keepalive: { timeMs: 600_000, timeoutMs: 600_000 } },
      server: {
        // Time of the limits stands still unless it is moved; the stop at the end has nothing to wait for.
        runtime: { ...runtime, clock: time.clock, scheduler: time.scheduler },
        hooks: { onRefused: (refusal, address, listener) => refused.push(`${refusal} ${address} ${listener}`) },
      },
    },
  );
  cleanUp(() => time.advance(60_000));
  return { port, server, refused, time };
};

const openSocket = (port: number): Promise<{ socket: Socket; closed: Promise<void> }> =>
  new Promise((resolve) => {
    const closed = createDeferred();
    const socket = connect({ host: "127.0.0.1", port });
    cleanUp(() => {
      socket.destroy();
    });
    socket.resume();
    socket.on("error", () => undefined);
    socket.once("close", () => closed.resolve());
    socket.once("connect", () => resolve({ socket, closed: closed.promise }));
  });

/** What a gRPC client is told whose connection is not taken. */
const refusalOf = async (port: number): Promise<string> => {
  const error: unknown = await openClient(port)
    .produce({})
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ reason: Reason.RESOURCE_EXHAUSTED, outcome: Outcome.NOT_APPLIED, retriable: true });
  return (error as Error).message;
};

const openSession = (port: number): Promise<{ session: ClientHttp2Session; closed: Promise<void> }> =>
  new Promise((resolve) => {
    const closed = createDeferred();
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    cleanUp(() => session.destroy());
    session.on("error", () => undefined);
    session.once("close", () => closed.resolve());
    // The answer to a ping: the server has read everything that comes before it.
    session.once("remoteSettings", () => session.ping(() => resolve({ session, closed: closed.promise })));
  });

/** A message as it lies in the body of a call. */
const frame = (message: Uint8Array, compressed = 0) => {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(compressed, 0);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
};

/** A gRPC call by hand. Resolves with the headers that have its status. */
const post = async (port: number, headers: IncomingHttpHeaders, body: Uint8Array) => {
  const { session } = await openSession(port);
  const stream = session.request({
    ":method": "POST",
    ":path": "/tidemark.log.v1.LogService/Produce",
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  const ended = createDeferred<IncomingHttpHeaders>();
  stream.once("response", (response) => {
    if (response["grpc-status"] !== undefined || response[":status"] !== 200) ended.resolve(response);
  });
  stream.once("trailers", ended.resolve);
  stream.on("error", () => undefined);
  stream.end(body);
  stream.resume();
  return ended.promise;
};

describe("59: connections over a limit are closed, and nobody else's:", () => {
  it("all in all", async () => {
    const { port, refused } = await limited({ total: 1 });
    await openSession(port);
    expect(await refusalOf(port)).toMatch(/max\.connections\)/);
    expect(refused).toEqual(["total 127.0.0.1 client"]);
  });

  it("from one address, until one of them closes", async () => {
    const { port, refused, server } = await limited({ perAddress: 1 });
    const { session, closed } = await openSession(port);
    expect(await refusalOf(port)).toMatch(/max\.connections\.per\.ip/);
    expect(refused).toEqual(["perAddress 127.0.0.1 client"]);
    session.close();
    await closed;
    await eventually(() => server.connections).toBe(0);
    await openSession(port);
  });

  it("new ones from one address within a second", async () => {
    const { port, refused, time } = await limited({ newPerAddressPerSecond: 2 });
    await openSession(port);
    await openSession(port);
    expect(await refusalOf(port)).toMatch(/max\.connection\.creation\.rate\.per\.ip/);
    expect(refused).toEqual(["newPerAddressPerSecond 127.0.0.1 client"]);
    await time.advance(1000);
    await openSession(port);
  });

  it("with a status and JSON in HTTP/1.1 and in HTTP/2 without gRPC", async () => {
    const { port } = await limited({ newPerAddressPerSecond: 1 });
    await openSession(port);
    const answer = await globalThis.fetch(`http://127.0.0.1:${port}/x`, { method: "POST", body: "{}" });
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([429, "1"]);
    expect(await answer.json()).toMatchObject({
      code: "resource_exhausted",
      details: [{ debug: { reason: "REASON_RESOURCE_EXHAUSTED", outcome: "OUTCOME_NOT_APPLIED", retriable: true } }],
    });
    const ended = await post(port, { "content-type": "application/json" }, Buffer.from("{}"));
    expect(ended[":status"]).toBe(429);
  });

  it("though they stay silent, and without a word where too many would have to be told", async () => {
    const { port, time } = await limited({ newPerAddressPerSecond: 1 });
    await openSession(port);
    const silent = await Promise.all(Array.from({ length: EXPLAINED_REFUSALS.perAddress }, () => openSocket(port)));
    await (await openSocket(port)).closed;
    await time.advance(EXPLAINED_REFUSALS.timeoutMs);
    await Promise.all(silent.map(({ closed }) => closed));
  });

  it("without a handshake in time", async () => {
    const { port, refused, time, server } = await limited({ handshakeTimeoutMs: 5000 });
    const silent = await openSocket(port);
    await openSession(port);
    await eventually(() => server.connections).toBe(2);
    await time.advance(5000);
    await silent.closed;
    expect(refused).toEqual(["handshakeTimeout 127.0.0.1 client"]);
    expect(server.connections).toBe(1);
  });

  it("without a call for too long", async () => {
    const { port } = await limited({ idleTimeoutMs: 30 });
    const { closed } = await openSession(port);
    await closed;
  });

  it("with more cancelled calls in a second than allowed", async () => {
    const { port } = await limited({ cancelledCallsPerSecond: 10 });
    const { session, closed } = await openSession(port);
    const goaway = createDeferred<number>();
    session.once("goaway", goaway.resolve);
    for (let count = 0; count < 100; count++) {
      const stream = session.request({ ":method": "POST", ":path": "/x", "content-type": "application/grpc" });
      stream.on("error", () => undefined);
      stream.close(constants.NGHTTP2_CANCEL);
    }
    await closed;
    expect(await goaway.promise).not.toBe(constants.NGHTTP2_NO_ERROR);
  });
});

describe("59: streams of one connection", () => {
  it("wait for each other above the limit", async () => {
    let running = 0;
    let most = 0;
    const release = createDeferred();
    const full = createDeferred();
    const { port } = await startServer(
      {
        async produce() {
          running += 1;
          most = Math.max(most, running);
          if (running === 2) full.resolve();
          await release.promise;
          running -= 1;
          return {};
        },
      },
      { listener: { streamsPerConnection: 2 } },
    );
    const { session } = await openSession(port);
    expect(session.remoteSettings.maxConcurrentStreams).toBe(2);
    const log = openClient(port);
    const calls = Array.from({ length: 6 }, () => log.produce({}));
    await full.promise;
    release.resolve();
    await Promise.all(calls);
    expect(most).toBe(2);
  });
});

it("59: requests that wait for their answers count, and one too many is refused before it is begun", async () => {
  const processBudget = createProcessBudget(100 * KiB);
  const release = createDeferred();
  const full = createDeferred();
  let begun = 0;
  const { port } = await startServer(
    {
      async produce() {
        begun += 1;
        if (begun === 2) full.resolve();
        await release.promise;
        return {};
      },
    },
    { server: { processBudget } },
  );
  const log = openClient(port);
  const request = { batches: new Uint8Array(40 * KiB) };
  const calls = [log.produce(request), log.produce(request)];
  await full.promise;
  await expect(log.produce(request)).rejects.toMatchObject({
    reason: Reason.RESOURCE_EXHAUSTED,
    outcome: Outcome.NOT_APPLIED,
    retriable: true,
  });
  release.resolve();
  await Promise.all(calls);
  expect([begun, processBudget.used]).toEqual([2, 0]);
});

describe("53: messages", () => {
  /** The bytes field that makes the whole request exactly so long: its tag takes one byte, its length two. */
  const requestOf = (length: number) => ({ batches: new Uint8Array(length - 3) });

  it("53: of exactly the limit pass, and one byte more is refused by the receiver, not applied", async () => {
    let calls = 0;
    const { port } = await startServer(
      {
        produce: () => {
          calls += 1;
          return {};
        },
      },
      { listener: { messageLimitBytes: 4 * KiB } },
    );
    const log = openClient(port);
    await log.produce(requestOf(4 * KiB));
    await expect(log.produce(requestOf(4 * KiB + 1))).rejects.toMatchObject({
      reason: Reason.MESSAGE_TOO_LARGE,
      outcome: Outcome.NOT_APPLIED,
      grpcStatus: status.INVALID_ARGUMENT,
      message: expect.stringMatching(/4097 bytes.*above the 4096.*rpc\.receive\.max\.bytes/) as string,
    });
    expect(calls).toBe(1);
  });

  it("53: one byte over the sender's own limit are refused before they are sent", async () => {
    const { port } = await startServer({ produce: () => ({}) });
    const log = openClient(port, { messageLimitBytes: 4 * KiB });
    await log.produce(requestOf(4 * KiB));
    await expect(log.produce(requestOf(4 * KiB + 1))).rejects.toMatchObject({
      reason: Reason.MESSAGE_TOO_LARGE,
      outcome: Outcome.NOT_APPLIED,
    });
  });

  it("53: of an answer over a limit fail the call, whose outcome is unknown", async () => {
    const answer = { partitions: [{ batches: new Uint8Array(8 * KiB) }] };
    const small = await startServer({ fetch: () => answer }, { listener: { messageLimitBytes: 4 * KiB } });
    const tooLarge = { reason: Reason.MESSAGE_TOO_LARGE, outcome: Outcome.UNKNOWN };
    await expect(openClient(small.port).fetch({})).rejects.toMatchObject(tooLarge);
    const sendsLess = { listener: { messageLimitBytes: 64 * KiB, sendLimitBytes: 4 * KiB } };
    const strict = await startServer({ fetch: () => answer }, sendsLess);
    await expect(openClient(strict.port).fetch({})).rejects.toMatchObject(tooLarge);
    const large = await startServer({ fetch: () => answer });
    await expect(openClient(large.port, { messageLimitBytes: 4 * KiB }).fetch({})).rejects.toMatchObject(tooLarge);
  });
});

describe("59: answers of a caller that reads nothing", () => {
  const answerBytes = 256 * KiB;
  const queueLimitBytes = { stream: 1024 * KiB, connection: 1024 * KiB };
  /** So many answers fit: each counts with a little more than its bytes. */
  const fitting = 3;
  const asked = 8;

  /** Calls whose answers nobody reads beyond what a stream may send unasked, and what the server counts for them. */
  const askWithoutReading = async () => {
    const processBudget = createProcessBudget();
    const batches = new Uint8Array(answerBytes);
    const { port, server } = await startServer(
      { fetch: () => ({ partitions: [{ batches }] }) },
      { listener: { queueLimitBytes }, server: { processBudget } },
    );
    const { session } = await openSession(port);
    const statuses: (string | undefined)[] = [];
    const streams = Array.from({ length: asked }, () => {
      const stream = session.request({
        ":method": "POST",
        ":path": "/tidemark.log.v1.LogService/Fetch",
        "content-type": "application/grpc",
        te: "trailers",
      });
      const take = (headers: IncomingHttpHeaders) => {
        if (headers["grpc-status"] !== undefined) statuses.push(String(headers["grpc-status"]));
      };
      stream.on("response", take);
      stream.on("trailers", take);
      stream.on("error", () => undefined);
      stream.end(frame(new Uint8Array(0)));
      return stream;
    });
    await eventually(() => statuses.length).toBe(asked - fitting);
    return { processBudget, server, session, statuses, streams };
  };

  it("count though their calls have ended, and those beyond the budget are refused instead", async () => {
    const { processBudget, server, statuses, streams } = await askWithoutReading();
    expect(statuses).toEqual(Array.from({ length: asked - fitting }, () => String(status.RESOURCE_EXHAUSTED)));
    expect(server.activeCalls).toBe(0);
    expect(processBudget.used).toBeGreaterThan(fitting * answerBytes);
    expect(processBudget.used).toBeLessThanOrEqual(queueLimitBytes.connection);
    for (const stream of streams) stream.resume();
    await eventually(() => statuses.filter((each) => each === String(status.OK)).length).toBe(fitting);
    await eventually(() => processBudget.used).toBe(0);
  });

  it("count no more when the connection is gone", async () => {
    const { processBudget, session } = await askWithoutReading();
    expect(processBudget.used).toBeGreaterThan(0);
    session.destroy();
    await eventually(() => processBudget.used).toBe(0);
  });
});

describe("58: hostile bytes", () => {
  it("58: that are no message of the method are refused with a typed error", async () => {
    const { port, defects } = await startServer({ produce: () => ({}) });
    const ended = await post(port, {}, frame(Uint8Array.of(0x2a, 0x7f, 1)));
    expect(ended["grpc-status"]).toBe(String(status.INVALID_ARGUMENT));
    expect(ended["grpc-message"]).toContain("ProduceRequest");
    expect(defects).toEqual([]);
  });

  it("58: a field that is not known, as of a newer proto, is passed over, and a value of an enum that is not known is refused", async () => {
    const asked: string[] = [];
    const { port } = await startServer({
      produce({ topic }) {
        asked.push(topic);
        return {};
      },
    });
    const topic = Uint8Array.of(0x0a, 1, 0x74);
    // Number 1000, of two bytes.
    const unknown = Uint8Array.of(0xc2, 0x3e, 2, 1, 2);
    const ended = await post(port, {}, frame(Buffer.concat([topic, unknown])));
    expect([ended["grpc-status"], asked]).toEqual([String(status.OK), ["t"]]);
    await expect(openClient(port).produce({ topic: "t", acks: 99 as Acks })).rejects.toMatchObject({
      reason: Reason.INVALID_ARGUMENT,
      message: expect.stringContaining("ACKS_ALL = 3") as string,
    });
    expect(asked).toEqual(["t"]);
  });

  it.each([
    ["no message", Buffer.alloc(0), "no request message"],
    ["two messages", Buffer.concat([frame(Uint8Array.of()), frame(Uint8Array.of())]), "more than one request message"],
  ])("58: that hold %s where one is due are refused, and the handler is not called", async (_, body, says) => {
    let calls = 0;
    const { port } = await startServer({
      produce() {
        calls += 1;
        return {};
      },
    });
    const ended = await post(port, {}, body);
    expect(ended["grpc-status"]).toBe(String(status.INVALID_ARGUMENT));
    expect(decodeURI(String(ended["grpc-message"]))).toContain(says);
    expect(calls).toBe(0);
  });

  it("58: that grow over the limit when decompressed are refused", async () => {
    const { port } = await startServer({ produce: () => ({}) }, { listener: { messageLimitBytes: 64 * KiB } });
    const bomb = gzipSync(Buffer.alloc(16 * 1024 * KiB));
    expect(bomb.length).toBeLessThan(64 * KiB);
    const ended = await post(port, { "grpc-encoding": "gzip" }, frame(bomb, 1));
    expect(ended["grpc-status"]).toBe(String(status.INVALID_ARGUMENT));
    expect(decodeURI(String(ended["grpc-message"]))).toContain("above the 65536 that this process takes");
  });

  it("58: that say a million entries in two bytes each are refused before they are decoded, as are fields nobody knows", async () => {
    let calls = 0;
    const produce = () => {
      calls += 1;
      return {};
    };
    const { port } = await startServer({ produce }, { listener: { elementLimit: 1000 } });
    const records = ProduceRequestSchema.fields.find(({ localName }) => localName === "records");
    const entry = [((records?.number ?? 0) << 3) | 2, 0];
    for (const element of [entry, [0x78, 1]]) {
      const times = (count: number) => frame(Uint8Array.from(Array.from({ length: count }, () => element).flat()));
      const ended = await post(port, {}, times(1001));
      expect(ended["grpc-status"]).toBe(String(status.INVALID_ARGUMENT));
      const says = decodeURI(String(ended["grpc-message"]));
      expect(says).toMatch(/more than 1000 elements .*\(rpc\.receive\.max\.elements\)/);
      expect((await post(port, {}, times(1000)))["grpc-status"]).toBe("0");
    }
    expect(calls).toBe(2);
  });

  it("58: that are compressed in an unknown way are refused", async () => {
    const { port } = await startServer({ produce: () => ({}) });
    const ended = await post(port, { "grpc-encoding": "lzma" }, frame(Uint8Array.of(1), 1));
    expect(ended["grpc-status"]).toBe(String(status.UNIMPLEMENTED));
    expect(ended["grpc-status-details-bin"]).toBeDefined();
  });

  it("58: of another protocol, another content type or another path harm nobody else", async () => {
    const { port } = await startServer({ produce: () => ({}) });
    const http1 = await openSocket(port);
    http1.socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await http1.closed;
    expect((await post(port, { "content-type": "text/html" }, frame(Uint8Array.of())))[":status"]).toBe(415);
    const unknown = await post(port, { ":path": "/no.such.Service/Method" }, frame(Uint8Array.of()));
    expect(unknown["grpc-status"]).toBe(String(status.UNIMPLEMENTED));
    expect(unknown["grpc-status-details-bin"]).toBeDefined();
    await openClient(port).produce({});
  });

  it("58: in the timeout header end the call, not the process", async () => {
    const { port } = await startServer({ produce: () => ({}) });
    const ended = await post(port, { "grpc-timeout": "soon" }, frame(Uint8Array.of()));
    expect(ended["grpc-status"]).toBe(String(status.INTERNAL));
    await openClient(port).produce({});
  });
});
