import { AdminService } from "@tidemark/proto/admin/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { LogService } from "@tidemark/proto/log/v1";
import { createRpcServer, type ServiceImpl, serve, TidemarkError } from "@tidemark/rpc";
import { createDeferred, createNodeRuntime } from "@tidemark/runtime";
import { afterEach, expect, test } from "vitest";
import { type Client, createClient } from "./client.ts";

const topic = "t";
const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const closed = {
  reason: Reason.CANCELLED,
  outcome: Outcome.NOT_APPLIED,
  retriable: false,
  message: "The client is closed: make another one with createClient",
};

/** A process that has one topic of one partition, and stores what is produced without keeping it. */
async function startServer(log: Partial<ServiceImpl<typeof LogService>>): Promise<string> {
  const topics = [{ topic, topicId: "id", partitions: [{ partition: 0 }] }];
  const server = createRpcServer({
    runtime: createNodeRuntime(),
    listeners: {
      client: {
        port: 0,
        services: [
          serve(AdminService, { describeTopics: () => ({ topics }), describeCluster: () => ({}) }),
          serve(LogService, {
            initProducer: () => ({ producerId: 7n }),
            async *produceStream(requests) {
              for await (const { sequence } of requests) yield { results: [{ sequence, baseOffset: 0n }] };
            },
            listOffsets: () => ({ offsets: [{ partition: 0, offset: 0n }] }),
            fetch: () => ({ partitions: [{ partition: 0 }] }),
            ...log,
          }),
        ],
      },
    },
  });
  const { client } = await server.start();
  cleanups.push(() => server.stop(0));
  return `127.0.0.1:${client?.port ?? 0}`;
}

async function connect(log: Partial<ServiceImpl<typeof LogService>> = {}): Promise<Client> {
  const client = await createClient({ bootstrap: await startServer(log) });
  cleanups.push(() => client.close());
  return client;
}

/** What something fails with, as far as the SDK says it. */
async function errorOf(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error instanceof TidemarkError ? { ...closedFields(error) } : error;
  }
  return "nothing";
}

const closedFields = ({ reason, outcome, retriable, message }: TidemarkError) => ({
  reason,
  outcome,
  retriable,
  message,
});

async function readAll(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const message of messages) expect(message).toBeUndefined();
}

test.each<readonly [string, (client: Client) => unknown]>([
  ["a call of admin", ({ admin }) => admin.listTopics({})],
  ["a stream of admin", ({ admin }) => readAll(admin.watchEvents({}))],
  ["a call of metadata", ({ metadata }) => metadata.describeQuorum({})],
  ["a call of log", ({ log }) => log.describeLog({ topic })],
  ["a server stream of log", ({ log }) => readAll(log.subscribe({ topic }))],
  ["a stream in both directions of log", ({ log }) => readAll(log.produceStream(nothing()))],
  ["checkHealth of an endpoint that was never asked", (client) => client.checkHealth("127.0.0.1:1")],
  ["createProducer", (client) => client.createProducer()],
  ["createConsumer", (client) => client.createConsumer({ topic })],
])("after close, %s says that the client is closed", async (_, use) => {
  const client = await connect();
  client.close();
  expect(await errorOf(() => use(client))).toEqual(closed);
});

test("a call that waits for a connection says so too", async () => {
  const client = await connect();
  client.close();
  expect(await errorOf(() => client.admin.listTopics({}, { waitForReady: true }))).toEqual(closed);
});

test("a client is closed twice without harm", async () => {
  const client = await connect();
  await client.admin.describeTopics({});
  client.close();
  expect(() => client.close()).not.toThrow();
});

test.each([
  { topicIs: "known", idempotence: true },
  { topicIs: "known", idempotence: false },
  { topicIs: "not known", idempotence: true },
])(
  "a producer that outlives its client gives records up as not applied (topic $topicIs, idempotence $idempotence)",
  async ({ topicIs, idempotence }) => {
    const client = await connect();
    const producer = client.createProducer({ idempotence });
    if (topicIs === "known") {
      expect(await producer.send(topic, { value: "a" })).toEqual({ kind: "acknowledged", partition: 0, offset: 0n });
    }
    client.close();
    expect(await producer.send(topic, { value: "b" })).toMatchObject({ kind: "notApplied", error: closed });
    await producer.close();
  },
);

test("a producer that outlives its client cannot be prepared", async () => {
  const client = await connect();
  const producer = client.createProducer();
  client.close();
  expect(await errorOf(() => producer.prepare(topic))).toEqual(closed);
});

test.each<readonly [string, (consumer: ReturnType<Client["createConsumer"]>) => unknown]>([
  ["batches", (consumer) => readAll(consumer.batches())],
  ["records", (consumer) => readAll(consumer.records())],
  ["highWatermarks", (consumer) => consumer.highWatermarks()],
  ["seek", (consumer) => consumer.seek(0, "latest")],
])("a consumer that outlives its client says so: %s", async (_, use) => {
  const client = await connect();
  const consumer = client.createConsumer({ topic });
  client.close();
  expect(await errorOf(() => use(consumer))).toEqual(closed);
});

test("what is on its way when the client is closed ends as unknown, and a reading ends", async () => {
  const arrived = { produced: createDeferred(), fetched: createDeferred() };
  const client = await connect({
    async *produceStream(requests) {
      for await (const request of requests) if (request.sequence === 0n) arrived.produced.resolve();
      yield {};
    },
    async fetch() {
      arrived.fetched.resolve();
      return new Promise<never>(() => undefined);
    },
  });
  const sent = client.createProducer().send(topic, { value: "a" });
  const reading = errorOf(() => readAll(client.createConsumer({ topic }).batches()));
  await Promise.all([arrived.produced.promise, arrived.fetched.promise]);
  client.close();
  expect(await sent).toMatchObject({ kind: "unknown", error: { reason: Reason.CANCELLED, outcome: Outcome.UNKNOWN } });
  expect(await reading).toMatchObject({ reason: Reason.CANCELLED });
});

async function* nothing(): AsyncGenerator<never, void, undefined> {
  // Ends at once.
}
