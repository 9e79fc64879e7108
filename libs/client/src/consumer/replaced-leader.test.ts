import { crc32c } from "@tidemark/compression";
import { Reason } from "@tidemark/proto/common/v1";
import { encodeBatch } from "@tidemark/record";
import { describe, expect, test } from "vitest";
import { createFakeCluster, type FakeCluster, refused } from "../testing/fake-cluster.ts";
import { createConsumer } from "./consumer.ts";
import { silenceMs, untilReplaced } from "./replaced-leader.ts";

const topic = "t";
const frozen = { endpoint: "broker-1:1", leaderEpoch: 1 };
const next = { endpoint: "broker-2:1", leaderEpoch: 2 };
const waitMs = 500;

/** A question to the leader of both partitions that is never answered, and what it fails with. */
async function ask(cluster: FakeCluster, signal?: AbortSignal) {
  for (const partition of [0, 1]) cluster.lead(partition, frozen);
  await cluster.connection.topics.describe(topic);
  const failures: unknown[] = [];
  const signals: AbortSignal[] = [];
  const question = { topic, partitions: [0, 1], endpoint: frozen.endpoint, waitMs, signal };
  untilReplaced(cluster.connection, question, (over) => {
    signals.push(over);
    return new Promise((_, reject) => over.addEventListener("abort", () => reject(new Error("aborted"))));
  }).catch((error: unknown) => failures.push(error));
  return { failures, isAborted: () => signals.some(({ aborted }) => aborted) };
}

describe("a leader that does not answer", () => {
  test("is left once another one leads one of the partitions, and what it was asked is cancelled", async () => {
    const cluster = await createFakeCluster(2);
    const { failures, isAborted } = await ask(cluster);
    cluster.lead(1, next);
    await cluster.time.advance(waitMs + silenceMs - 1);
    expect([failures, isAborted()]).toEqual([[], false]);
    await cluster.time.advance(1);
    expect(failures).toMatchObject([{ reason: Reason.NOT_LEADER, retriable: true }]);
    expect([isAborted(), cluster.time.pending()]).toEqual([true, 0]);
  });

  test("is waited for while nobody else leads, and it is asked again who does, also after a question that failed", async () => {
    const cluster = await createFakeCluster(2);
    const { failures } = await ask(cluster);
    const before = cluster.described();
    cluster.onDescribe(refused(Reason.UNAVAILABLE));
    await cluster.time.advance(waitMs + 5 * silenceMs);
    expect([cluster.described() - before, failures]).toEqual([5, []]);
    cluster.lead(0, { ...next, endpoint: frozen.endpoint });
    await cluster.time.advance(silenceMs);
    expect(failures).toEqual([]);
    cluster.lead(0, { ...next, leaderEpoch: 3 });
    await cluster.time.advance(silenceMs);
    expect(failures).toMatchObject([{ reason: Reason.NOT_LEADER }]);
  });

  test("is left with the caller, and no timer stays", async () => {
    const cluster = await createFakeCluster(2);
    const abort = new AbortController();
    const { failures } = await ask(cluster, abort.signal);
    abort.abort();
    await cluster.time.advance(0);
    expect(failures).toMatchObject([{ message: "aborted" }]);
    expect(cluster.time.pending()).toBe(0);
  });
});

test("a consumer at a leader that froze goes on at the next one", async () => {
  const cluster = await createFakeCluster(1);
  cluster.lead(0, frozen);
  await cluster.connection.topics.describe(topic);
  const asked: string[] = [];
  const connection = {
    ...cluster.connection,
    fetchAt(endpoint: string) {
      asked.push(endpoint);
      const service = cluster.connection.fetchAt(endpoint);
      return endpoint === frozen.endpoint ? { ...service, fetch: () => new Promise<never>(() => undefined) } : service;
    },
  };
  const consumer = createConsumer(connection, { topic, from: { offset: 0n }, maxWaitMs: waitMs });
  const batches = consumer.batches()[Symbol.asyncIterator]();
  const first = batches.next();
  await cluster.time.advance(10 * silenceMs);
  expect(new Set(asked)).toEqual(new Set([frozen.endpoint]));
  const record = { timestamp: 0n, key: null, value: new TextEncoder().encode("a"), headers: [] };
  cluster.append(0, encodeBatch([record], { crc32c }));
  cluster.lead(0, next);
  await cluster.time.advance(3 * silenceMs);
  expect((await first).value).toMatchObject({ partition: 0, nextOffset: 1n });
  expect(asked.at(-1)).toBe(next.endpoint);
  await batches.return?.();
});
