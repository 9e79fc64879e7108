/** `trace produce` against a real cluster whose spans a receiver takes. */
import { type DevCluster, startDevCluster } from "@tidemark/testkit";
import { createReceiverStore, drawing, drawTraces, type SpanStore, waitForSpans } from "@tidemark/testkit/traces";
import { afterAll, beforeAll, expect, test } from "vitest";

let store: SpanStore;
let cluster: DevCluster;

beforeAll(async () => {
  store = await createReceiverStore();
  // Nothing is sampled but what asks for it.
  const env = { ...store.environment, OTEL_TRACES_SAMPLER: "parentbased_always_off" };
  cluster = await startDevCluster({ brokers: 1, env });
  await cluster.tidemark(["topic", "create", "orders", "--partitions", "2"]);
});

afterAll(async () => {
  await cluster.stop();
  await store.close();
});

const traceProduce = (...args: readonly string[]) => cluster.tidemark(["trace", "produce", ...args]);

test("a traced record is stored, and the trace that is named is that of its way from the gateway to the ack", async () => {
  const { code, stdout, stderr } = await traceProduce("orders", "--partition", "1", "--text", "look at me");
  expect([code, stderr]).toEqual([0, ""]);
  const [stored, named, ...more] = stdout.toString().split("\n");
  expect(stored).toBe("Stored as orders-1 offset 0.");
  expect(more).toEqual([""]);
  const traceId = /^trace ([0-9a-f]{32})$/.exec(named ?? "")?.[1];
  const own = (spans: Awaited<ReturnType<SpanStore["spans"]>>) => spans.filter((span) => span.traceId === traceId);
  const isWhole = (spans: Parameters<typeof own>[0]) => own(spans).some(({ name }) => name === "gateway route");
  const spans = await waitForSpans(store, "the trace", (each) => isWhole(each) && own(each).length >= 6);
  expect([...drawTraces(own(spans)).keys()]).toEqual([
    `(called) ${drawing(`
      gateway route @gateway
        broker produce @broker
          ack @broker
          append @broker
          flush @broker
          high watermark advance @broker`)}`,
  ]);
  const read = await cluster.tidemark(["consume", "orders", "--until-end", "--format", "raw"]);
  expect(read.stdout.toString()).toContain("look at me");
});

test.each(["http://jaeger.example:16686", "http://jaeger.example:16686/"])(
  "where Jaeger is known, the page of the trace is printed: %s",
  async (jaeger) => {
    const { stdout } = await traceProduce("orders", "--jaeger", jaeger);
    const [, named = "", page] = stdout.toString().split("\n");
    expect(page).toBe(`http://jaeger.example:16686/trace/${named.slice("trace ".length)}`);
    const { stdout: json } = await traceProduce("orders", "--partition", "0", "--jaeger", jaeger, "-o", "json");
    const told = JSON.parse(json.toString()) as { readonly traceId: string };
    expect(told).toMatchObject({ topic: "orders", partition: 0 });
    expect(told).toHaveProperty("link", `http://jaeger.example:16686/trace/${told.traceId}`);
  },
);

test("says so where no service records the trace that is named", async () => {
  const silent = await startDevCluster({ brokers: 1 });
  try {
    await silent.tidemark(["topic", "create", "orders"]);
    const { code, stdout, stderr } = await silent.tidemark(["trace", "produce", "orders"]);
    expect(code).toBe(0);
    expect(stdout.toString()).toContain("Stored as orders-0 offset 0.");
    expect(stderr).toContain("nobody recorded this trace");
  } finally {
    await silent.stop();
  }
});

test("a traced record is recorded also where services go by ids of traces, and record next to none", async () => {
  const sampler = { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.000001" };
  const rare = await startDevCluster({ brokers: 1, env: { ...store.environment, ...sampler } });
  try {
    await rare.tidemark(["topic", "create", "orders"]);
    expect(await rare.tidemark(["trace", "produce", "orders"])).toMatchObject({ code: 0, stderr: "" });
  } finally {
    await rare.stop();
  }
});

test("a record that cannot be stored names no trace", async () => {
  const { code, stdout, stderr } = await traceProduce("nowhere");
  expect([code, stdout.toString()]).toEqual([1, ""]);
  expect(stderr).toContain("REASON_UNKNOWN_TOPIC");
});
