import { status } from "@grpc/grpc-js";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { createDeferred } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import type { CallEnd, ObservedCall } from "./index.ts";
import { type CallContext, INTERNAL_TEXT, TidemarkError } from "./index.ts";
import { eventually, openClient, startServer, untilAborted } from "./testing/harness.ts";

describe("a call", () => {
  it("carries every kind of method", async () => {
    const { port } = await startServer({
      listOffsets: () => ({ offsets: [{ partition: 3, offset: 7n }] }),
      async *subscribe() {
        for (let partition = 0; partition < 1000; partition++) yield { frame: { case: "data", value: { partition } } };
      },
      async *produceStream(requests) {
        for await (const { sequence } of requests) yield { results: [{ sequence }] };
      },
    });
    const log = openClient(port);

    expect((await log.listOffsets({ topic: "t" })).offsets[0]!.offset).toBe(7n);
    const partitions = [];
    for await (const { frame } of log.subscribe({ topic: "t" })) {
      if (frame.case === "data") partitions.push(frame.value.partition);
    }
    expect(partitions).toEqual(Array.from({ length: 1000 }, (_, index) => index));
    const sequences = [];
    async function* requests() {
      for (let sequence = 0n; sequence < 1000n; sequence++) yield { sequence };
    }
    for await (const { results } of log.produceStream(requests())) sequences.push(results[0]!.sequence);
    expect(sequences).toEqual(Array.from({ length: 1000 }, (_, index) => BigInt(index)));
  });

  it("may be given more time than a timer can wait", async () => {
    const { port } = await startServer({ produce: () => ({ results: [{ partition: 1 }] }) });
    const { results } = await openClient(port).produce({}, { timeoutMs: 2 ** 40 });
    expect(results).toHaveLength(1);
  });

  it("brings headers, trace context, peer and listener to the handler, and its trailers back", async () => {
    const seen = createDeferred<CallContext>();
    const { port } = await startServer({
      listOffsets(_, context) {
        seen.resolve(context);
        context.setTrailer("served-by", "broker-1");
        context.setTrailer("proof-bin", Uint8Array.of(1, 2));
        return {};
      },
    });
    const trailers: (string | undefined)[] = [];
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await openClient(port).listOffsets(
      {},
      {
        traceparent,
        tracestate: "a=b",
        metadata: { tenant: "blue", "token-bin": Uint8Array.of(7) },
        onTrailers: (sent) => trailers.push(sent.get("served-by"), sent.getBinary("proof-bin")?.join()),
      },
    );
    const context = await seen.promise;
    expect(context).toMatchObject({ traceparent, tracestate: "a=b", listener: "client", identity: undefined });
    expect(context.metadata.get("tenant")).toBe("blue");
    expect(context.metadata.getBinary("token-bin")?.join()).toBe("7");
    expect(context.metadata.get("absent")).toBeUndefined();
    expect(context.peer).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(trailers).toEqual(["broker-1", "1,2"]);
  });

  it("fails, and does not hang, where what takes its trailers throws", async () => {
    const { port } = await startServer({ listOffsets: () => ({}) });
    const onTrailers = () => {
      throw new Error("not these");
    };
    await expect(openClient(port).listOffsets({}, { onTrailers })).rejects.toMatchObject({
      cause: { message: "not these" },
    });
  });

  it("is seen by the observers of both sides, from its beginning to its end", async () => {
    const seen: [ObservedCall, CallEnd][] = [];
    const observer = (call: ObservedCall) => (end: CallEnd) => seen.push([call, end]);
    const { port } = await startServer(
      { listOffsets: () => ({ offsets: [{ partition: 3 }] }) },
      { server: { observer } },
    );
    const log = openClient(port, { observer });
    await log.listOffsets({ topic: "t" }, { traceparent: "x" });
    await expect(log.fetch({})).rejects.toThrow();
    const summary = seen.map(([{ side, method, via, traceparent }, end]) => [
      side,
      method.name,
      via,
      traceparent,
      status[end.status],
      end.error?.reason,
      [end.messagesReceived, end.messagesSent, end.bytesReceived, end.bytesSent],
    ]);
    expect(summary).toEqual([
      ["server", "ListOffsets", "client", "x", "OK", undefined, [1, 1, 3, 4]],
      ["client", "ListOffsets", "admin", "x", "OK", undefined, [1, 1, 4, 3]],
      ["server", "Fetch", "client", undefined, "UNIMPLEMENTED", Reason.UNSUPPORTED, [0, 0, 0, 0]],
      ["client", "Fetch", "admin", undefined, "UNIMPLEMENTED", Reason.UNSUPPORTED, [0, 1, 0, 0]],
    ]);
  });
});

describe("a failing call", () => {
  it("ends with the handler's error, with all its fields", async () => {
    const fields = {
      leader: { broker: 2, endpoint: "b:1", leaderEpoch: 4 },
      highWatermark: 9n,
      isr: [1, 2],
      minIsr: 2,
      retryAfterMs: 1500,
      topic: "t",
      partition: 0,
      baseOffset: 2n ** 60n,
    };
    const { port, defects } = await startServer({
      produce() {
        throw new TidemarkError({ reason: Reason.NOT_LEADER, message: "Ask broker 2.", ...fields });
      },
    });
    await expect(openClient(port).produce({})).rejects.toMatchObject({
      message: "Ask broker 2.",
      reason: Reason.NOT_LEADER,
      outcome: Outcome.NOT_APPLIED,
      retriable: true,
      grpcStatus: status.FAILED_PRECONDITION,
      fields,
    });
    expect(defects).toEqual([]);
  });

  it("says nothing of a defect but that there is one, and reports it in the process, with the trace of the call", async () => {
    const { port, defects } = await startServer({
      produce() {
        throw new Error("the secret is 42");
      },
      async *subscribe() {
        yield {};
        throw new TypeError("undefined is not a function");
      },
    });
    const log = openClient(port);
    const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
    await expect(log.produce({}, { traceparent })).rejects.toMatchObject({
      message: INTERNAL_TEXT,
      reason: Reason.INTERNAL,
      outcome: Outcome.UNKNOWN,
    });
    const read = async () => {
      for await (const message of log.subscribe({}, { traceparent })) expect(message.frame.case).toBeUndefined();
    };
    await expect(read()).rejects.toMatchObject({ reason: Reason.INTERNAL, message: INTERNAL_TEXT });
    const [first, second] = [new Error("the secret is 42"), new TypeError("undefined is not a function")];
    expect(defects).toEqual([first, traceparent, second, traceparent]);
  });

  it("is unsupported, and certainly not applied, where the method or the service is not offered", async () => {
    const { port } = await startServer({});
    await expect(openClient(port).fetch({})).rejects.toMatchObject({
      reason: Reason.UNSUPPORTED,
      outcome: Outcome.NOT_APPLIED,
      grpcStatus: status.UNIMPLEMENTED,
    });
  });

  it("tells the handler when its caller cancels", async () => {
    const begun = createDeferred();
    const told = createDeferred<unknown>();
    const { port, defects } = await startServer({
      async fetch(_, { signal }) {
        begun.resolve();
        await untilAborted(signal).catch(told.resolve);
        throw new Error("too late to matter");
      },
    });
    const abort = new AbortController();
    const call = openClient(port).fetch({}, { signal: abort.signal });
    await begun.promise;
    abort.abort(new Error("changed my mind"));
    await expect(call).rejects.toMatchObject({ reason: Reason.CANCELLED, outcome: Outcome.UNKNOWN });
    await expect(told.promise).resolves.toMatchObject({ reason: Reason.CANCELLED });
    await eventually(() => defects).toEqual([new Error("too late to matter")]);
  });

  it("is certainly not applied when it was cancelled before it began", async () => {
    const { port } = await startServer({ fetch: () => ({}) });
    const call = openClient(port).fetch({}, { signal: AbortSignal.abort() });
    await expect(call).rejects.toMatchObject({ reason: Reason.CANCELLED, outcome: Outcome.NOT_APPLIED });
  });

  it("cancels the stream whose reader leaves, and ends the generator behind it", async () => {
    const ended = createDeferred<string>();
    const { port, server } = await startServer({
      async *subscribe(_, { signal }) {
        try {
          for (;;) yield { frame: { case: "caughtUp", value: { partition: 1 } } };
        } finally {
          ended.resolve(signal.aborted ? "aborted" : "not told");
        }
      },
    });
    for await (const { frame } of openClient(port).subscribe({})) {
      expect(frame.case).toBe("caughtUp");
      break;
    }
    await expect(ended.promise).resolves.toBe("aborted");
    await eventually(() => server.activeCalls).toBe(0);
  });

  it("ends the generator of requests whose call is over", async () => {
    const { port } = await startServer({
      // Fails before it has read anything.
      produceStream() {
        throw new TidemarkError({ reason: Reason.NOT_LEADER, message: "no" });
      },
    });
    const failed = createDeferred();
    const ended = createDeferred();
    async function* requests() {
      try {
        await failed.promise;
        yield { sequence: 1n };
      } finally {
        ended.resolve();
      }
    }
    await expect(openClient(port).produceStream(requests())[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      reason: Reason.NOT_LEADER,
    });
    failed.resolve();
    await ended.promise;
  });

  it("fails the call whose own requests cannot be made", async () => {
    const { port } = await startServer({
      async *produceStream(requests) {
        for await (const { sequence } of requests) yield { results: [{ sequence }] };
      },
    });
    async function* requests() {
      yield { sequence: 1n };
      throw new Error("no more disk");
    }
    const read = async () => {
      for await (const { results } of openClient(port).produceStream(requests())) expect(results).toHaveLength(1);
    };
    await expect(read()).rejects.toMatchObject({ reason: Reason.CANCELLED, cause: new Error("no more disk") });
  });
});
