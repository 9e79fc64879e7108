import { Reason } from "@tidemark/proto/common/v1";
import { describe, expect, test } from "vitest";
import { type ClientOptions, createClient } from "./client.ts";
import { type ConsumerOptions, createConsumer } from "./consumer/consumer.ts";
import { createProducer, type ProducerOptions } from "./producer/producer.ts";
import { answerLost, createFakeCluster } from "./testing/fake-cluster.ts";

const topic = "t";
const invalid = expect.objectContaining({ reason: Reason.INVALID_ARGUMENT }) as Error;
/** As JavaScript gives it, and TypeScript without exactOptionalPropertyTypes. */
const producerOptions = (given: object) => given as ProducerOptions;
const consumerOptions = (given: object) => ({ topic, ...given }) as ConsumerOptions;

describe("an option that is given as undefined", () => {
  test("is absent for a producer, which stays idempotent and keeps its timeouts", async () => {
    const cluster = await createFakeCluster(1);
    const none = { acks: undefined, idempotence: undefined, deliveryTimeoutMs: undefined, batchBytesMax: undefined };
    const producer = createProducer(cluster.connection, producerOptions(none));
    await producer.prepare(topic);
    cluster.onProduce(0, { kind: "loseAnswer", error: answerLost() });
    const outcome = producer.send(topic, { value: "a" });
    await cluster.time.advance(60_000);
    expect(await outcome).toEqual({ kind: "acknowledged", partition: 0, offset: 0n });
    expect(cluster.valuesOf(0)).toEqual(["a"]);
  });

  test("is absent for a consumer", async () => {
    const cluster = await createFakeCluster(1);
    const none = { from: undefined, fetchBytesMax: undefined, retryTimeoutMs: undefined, partitions: undefined };
    const consumer = createConsumer(cluster.connection, consumerOptions({ ...none, untilEnd: true }));
    const read: unknown[] = [];
    for await (const record of consumer.records()) read.push(record);
    expect(read).toEqual([]);
  });
});

describe("an option that is none is refused with its name", () => {
  test.each([
    ["acks", "most"],
    ["lingerMs", -1],
    ["lingerMs", Number.NaN],
    ["batchBytesMax", 0],
    ["deliveryTimeoutMs", Number.NaN],
    ["deliveryTimeoutMs", "1s"],
    ["requestTimeoutMs", 0],
    ["bufferBytesMax", 0],
    ["inFlightBytesMax", null],
  ])("by a producer: %s %s", async (name, value) => {
    const { connection } = await createFakeCluster(1);
    const make = () => createProducer(connection, producerOptions({ [name]: value }));
    expect(make).toThrow(invalid);
    expect(make).toThrow(name);
  });

  test.each([
    ["topic", undefined, "topic"],
    ["offsetReset", "none", "offsetReset"],
    ["fetchBytesMax", -1, "fetchBytesMax"],
    ["fetchBytesMax", 2 ** 32, "fetchBytesMax"],
    ["fetchBytesMax", 1.5, "fetchBytesMax"],
    ["maxWaitMs", Number.NaN, "maxWaitMs"],
    ["retryTimeoutMs", Number.NaN, "retryTimeoutMs"],
    ["partitions", [0, -1], "-1 is no partition"],
    ["partitions", [1.5], "1.5 is no partition"],
    ["from", "middle", "middle is no place to begin at"],
    ["from", { timestampMs: Number.NaN }, "timestampMs: NaN"],
    ["from", {}, "no place to begin at"],
    ["from", { offset: -1n }, "-1 is no offset"],
  ])("by a consumer: %s %s", async (name, value, told) => {
    const { connection } = await createFakeCluster(1);
    const make = () => createConsumer(connection, consumerOptions({ [name]: value }));
    expect(make).toThrow(invalid);
    expect(make).toThrow(told);
  });

  test.each(["nonsense", "", "http://127.0.0.1:4640", "a:0", "a:65536", ":4640", "::1:4640", undefined])(
    "by a client: bootstrap %s",
    async (bootstrap) => {
      await expect(createClient({ bootstrap } as ClientOptions)).rejects.toEqual(invalid);
    },
  );

  test.each(["gateway-1.sim:4640", "127.0.0.1:1", "[::1]:65535"])("and %s is none of them", async (bootstrap) => {
    (await createClient({ bootstrap })).close();
  });

  test("by a seek too", async () => {
    const { connection } = await createFakeCluster(1);
    const consumer = createConsumer(connection, { topic });
    await expect(consumer.seek(0, { timestampMs: Number.NaN })).rejects.toEqual(invalid);
    await expect(consumer.seek(0, "middle" as "latest")).rejects.toEqual(invalid);
  });
});

test("a record whose headers are no list is refused as it is given", async () => {
  const { connection } = await createFakeCluster(1);
  const producer = createProducer(connection, {});
  await producer.prepare(topic);
  expect(await producer.send(topic, { value: "a", headers: "h" as never })).toMatchObject({
    kind: "notApplied",
    error: { reason: Reason.INVALID_RECORD },
  });
});
