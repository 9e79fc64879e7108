import {
  type Context,
  type ContextManager,
  context,
  INVALID_SPAN_CONTEXT,
  ROOT_CONTEXT,
  type SpanContext,
  trace,
} from "@opentelemetry/api";
import { createDeferred } from "@tidemark/runtime";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
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

const caller = (traceFlags: number): SpanContext => ({ traceId, spanId: "b7ad6b7169203331", traceFlags });

function under(span: SpanContext, work: () => void): void {
  context.with(trace.setSpan(ROOT_CONTEXT, trace.wrapSpanContext(span)), work);
}

async function produceUnder(span: SpanContext) {
  const cluster = await createFakeCluster();
  const producer = createProducer(cluster.connection, {});
  const told = createDeferred<string>();
  under(span, () => {
    producer.enqueue("t", { value: new Uint8Array(), partition: 0 }, ({ kind }) => told.resolve(kind));
  });
  await producer.flush();
  return { cluster, kind: await told.promise };
}

const textOf = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("latin1");

describe("the trace of a produce", () => {
  test("goes along with the call and is stored with the batch where the caller's span is sampled", async () => {
    const { cluster, kind } = await produceUnder(caller(1));
    expect(kind).toBe("acknowledged");
    expect(cluster.seen[0]?.traceparent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
    expect(textOf(cluster.bytesOf(0)[0])).toContain(cluster.seen[0]?.traceparent);
  });

  test.each([0, 1])(
    "goes along with every part of a batch that its topic takes only in parts: flags %d",
    async (flags) => {
      const cluster = await createFakeCluster();
      cluster.batchBytesMax = 500;
      const producer = createProducer(cluster.connection, {});
      await producer.prepare("t");
      const settled: string[] = [];
      under(caller(flags), () => {
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
      for (const { traceparent } of cluster.seen)
        expect(traceparent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-0${flags}$`));
    },
  );

  test("goes along as one that is not sampled where the caller's span is not, and is not stored", async () => {
    const { cluster } = await produceUnder(caller(0));
    expect(cluster.seen[0]?.traceparent).toBe(`00-${traceId}-b7ad6b7169203331-00`);
    expect(textOf(cluster.bytesOf(0)[0])).not.toContain("traceparent");
  });

  test("is that of the caller who is sampled where others of the batch are not", async () => {
    const cluster = await createFakeCluster();
    const producer = createProducer(cluster.connection, {});
    await producer.prepare("t");
    const record = { value: new Uint8Array(), partition: 0 };
    for (const flags of [0, 1, 0]) under(caller(flags), () => producer.enqueue("t", record, () => undefined));
    await producer.flush();
    expect(cluster.seen.map(({ traceparent }) => traceparent)).toEqual([`00-${traceId}-b7ad6b7169203331-01`]);
    expect(textOf(cluster.bytesOf(0)[0]).match(/traceparent/g)).toHaveLength(1);
  });

  test("is neither sent nor stored where there is none", async () => {
    const { cluster } = await produceUnder(INVALID_SPAN_CONTEXT);
    expect(cluster.seen[0]?.traceparent).toBeUndefined();
    expect(textOf(cluster.bytesOf(0)[0])).not.toContain("traceparent");
  });
});

describe("where the program's sampler decides against the span of a batch", () => {
  afterEach(() => trace.disable());

  test("its trace goes along as one that is not sampled, and is not stored", async () => {
    const passedOver = { traceId, spanId: "c".repeat(16), traceFlags: 0 };
    const startSpan = () => trace.wrapSpanContext(passedOver);
    trace.setGlobalTracerProvider({ getTracer: () => ({ startSpan, startActiveSpan: startSpan }) });
    const { cluster } = await produceUnder(caller(1));
    expect(cluster.seen[0]?.traceparent).toBe(`00-${traceId}-${"c".repeat(16)}-00`);
    expect(textOf(cluster.bytesOf(0)[0])).not.toContain("traceparent");
  });
});
