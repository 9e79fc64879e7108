import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { Reason } from "@tidemark/proto/common/v1";
import { LogService } from "@tidemark/proto/log/v1";
import { TidemarkError } from "@tidemark/rpc";
import { traceIdTrailer } from "@tidemark/telemetry";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createSpanRecorder } from "../testing/span-recorder.ts";
import { startWorld, type World } from "../testing/world.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const sampled = `00-${traceId}-00f067aa0ba902b7-01`;
const unsampled = `00-${traceId}-00f067aa0ba902b7-00`;
const hello = { topic: "orders", partition: 0, records: [{ valueForm: { case: "text" as const, value: "hello" } }] };
const page = "https://shop.example";

let world: World;
beforeAll(async () => {
  // It draws nothing: what is recorded is what its caller recorded.
  world = await startWorld({ tracer: createSpanRecorder(false).tracer, corsOrigins: [page] });
});
afterAll(() => world.stop());
beforeEach(() => world.reset());

/** Asks, and gives the id of the answer's trailers. Each protocol brings them in its own way. */
const protocols = {
  async grpc(ask: "produce" | "fetch", traceparent: string) {
    let told: string | undefined;
    const onTrailers = (trailers: { get(key: string): string | undefined }) => (told = trailers.get(traceIdTrailer));
    const options = { traceparent, onTrailers };
    const answer = ask === "produce" ? world.log.produce(hello, options) : world.log.fetch(hello, options);
    await answer.catch((error: unknown) => expect(error).toBeInstanceOf(TidemarkError));
    return told;
  },
  async "gRPC-Web"(ask: "produce" | "fetch", traceparent: string) {
    const baseUrl = `http://127.0.0.1:${world.port}`;
    const client: Client<typeof LogService> = createClient(LogService, createGrpcWebTransport({ baseUrl }));
    let told: string | undefined;
    const options = {
      headers: { traceparent },
      onTrailer: (trailers: Headers) => (told = trailers.get(traceIdTrailer) ?? undefined),
    };
    if (ask === "produce") await client.produce(hello, options);
    else await client.fetch({ topic: "orders" }, options);
    return told;
  },
  async Connect(ask: "produce" | "fetch", traceparent: string) {
    const path = ask === "produce" ? "Produce" : "Fetch";
    const body =
      ask === "produce" ? { topic: "orders", partition: 0, records: [{ text: "hello" }] } : { topic: "orders" };
    const answer = await globalThis.fetch(`http://127.0.0.1:${world.port}/tidemark.log.v1.LogService/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", origin: page, traceparent },
      body: JSON.stringify(body),
    });
    await answer.text();
    const name = `trailer-${traceIdTrailer}`;
    // Or else the page's program could not read it.
    expect(answer.headers.get("access-control-expose-headers")).toContain(name);
    return answer.headers.get(name) ?? undefined;
  },
};

describe.each(Object.keys(protocols) as (keyof typeof protocols)[])("an answer by %s", (protocol) => {
  const ask = protocols[protocol];

  it("says in its trailers in which trace the produce was recorded", async () => {
    expect(await ask("produce", sampled)).toBe(traceId);
  });

  it("says nothing of a trace where the produce was not recorded", async () => {
    expect(await ask("produce", unsampled)).toBeUndefined();
  });

  it("passes on what the leader says of a fetch, which is recorded there alone", async () => {
    const ofLeader = "0af7651916cd43dd8448eb211c80319c";
    world.broker(1).fetch = (_, call) => {
      call.setTrailer(traceIdTrailer, ofLeader);
      return { partitions: [{ partition: 0, nextOffset: 0n }] };
    };
    expect(await ask("fetch", unsampled)).toBe(ofLeader);
  });
});

describe.each(["grpc", "Connect"] as const)("a refusal by %s", (protocol) => {
  it("says in which trace it was recorded", async () => {
    world.broker(1).produce = () => {
      throw new TidemarkError({ reason: Reason.INVALID_RECORD, message: "not this one" });
    };
    expect(await protocols[protocol]("produce", sampled)).toBe(traceId);
  });
});

describe("a failed fetch that no leader recorded", () => {
  it.each(["nowhere", "orders"])("is a span that names the error, and its trace is named: %s", async (topic) => {
    const { tracer, spans } = createSpanRecorder(false);
    const own = await startWorld({ tracer, leads: [{ partition: 0, leader: undefined, leaderEpoch: 1 }] });
    try {
      let told: string | undefined;
      const onTrailers = (trailers: { get(key: string): string | undefined }) => (told = trailers.get(traceIdTrailer));
      const fetched = own.log.fetch({ topic, partitions: [{ partition: 0 }] }, { traceparent: sampled, onTrailers });
      await expect(fetched).rejects.toBeInstanceOf(TidemarkError);
      expect(told).toBe(traceId);
      expect(spans).toMatchObject([
        {
          name: "gateway route",
          parent: { spanId: "00f067aa0ba902b7" },
          ends: [topic === "nowhere" ? "REASON_UNKNOWN_TOPIC" : "REASON_LEADER_NOT_AVAILABLE"],
          attributes: { "messaging.operation.name": "fetch", "messaging.destination.name": topic },
        },
      ]);
    } finally {
      await own.stop();
    }
  });
});
