import { type Context, type ContextManager, context, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { createDeferred } from "@tidemark/runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createProducer } from "./producer/producer.ts";
import { createFakeCluster } from "./testing/fake-cluster.ts";

/** Just enough of a context manager: one context at a time, without async. */
function createStackManager(): ContextManager {
  let active: Context = ROOT_CONTEXT;
  const manager: ContextManager = {
    active: () => active,
    with: (given, work, self, ...args) => {
      const before = active;
      active = given;
      try {
        return work.call(self as never, ...args);
      } finally {
        active = before;
      }
    },
    bind: (_, target) => target,
    enable: () => manager,
    disable: () => manager,
  };
  return manager;
}

beforeAll(() => {
  context.setGlobalContextManager(createStackManager());
});
afterAll(() => {
  context.disable();
});

const traceId = "0af7651916cd43dd8448eb211c80319c";

function under(traceFlags: number, work: () => void): void {
  const span = trace.wrapSpanContext({ traceId, spanId: "b7ad6b7169203331", traceFlags });
  context.with(trace.setSpan(ROOT_CONTEXT, span), work);
}

async function produceUnder(traceFlags: number) {
  const cluster = await createFakeCluster();
  const producer = createProducer(cluster.connection, {});
  const told = createDeferred<string>();
  under(traceFlags, () => {
    producer.enqueue("t", { value: new Uint8Array(), partition: 0 }, ({ kind }) => told.resolve(kind));
  });
  await producer.flush();
  return { cluster, kind: await told.promise };
}

describe("the trace of a produce", () => {
  test("goes along with the call and is stored with the batch where the caller's span is sampled", async () => {
    const { cluster, kind } = await produceUnder(1);
    expect(kind).toBe("acknowledged");
    expect(cluster.seen[0]?.traceparent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
    const stored = Buffer.from(cluster.bytesOf(0)[0] ?? []).toString("latin1");
    expect(stored).toContain(cluster.seen[0]?.traceparent);
  });

  test("goes along with every part of a batch that its topic takes only in parts", async () => {
    const cluster = await createFakeCluster();
    cluster.batchBytesMax = 500;
    const producer = createProducer(cluster.connection, {});
    await producer.prepare("t");
    const settled: string[] = [];
    under(1, () => {
      for (const letter of "abcd") {
        const value = new TextEncoder().encode(letter.repeat(200));
        producer.enqueue("t", { value, partition: 0 }, ({ kind }) => settled.push(kind));
      }
    });
    const flushed = producer.flush();
    while (settled.length < 4) await cluster.time.advance(100);
    await flushed;
    expect(settled).toEqual(["acknowledged", "acknowledged", "acknowledged", "acknowledged"]);
    expect(cluster.seen.length).toBeGreaterThan(1);
    for (const { traceparent } of cluster.seen) expect(traceparent).toContain(traceId);
  });

  test("is neither sent nor stored where it is not", async () => {
    const { cluster } = await produceUnder(0);
    expect(cluster.seen[0]?.traceparent).toBeUndefined();
    expect(Buffer.from(cluster.bytesOf(0)[0] ?? []).toString("latin1")).not.toContain("traceparent");
  });
});
