import type { MessageInitShape } from "@bufbuild/protobuf";
import { offset } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { type FetchRequestSchema, type FetchResponse, ReplicaService } from "@tidemark/proto/replica/v1";
import { createChannel, openRawStream, type RawStream, type TidemarkError } from "@tidemark/rpc";
import { createDeferred } from "@tidemark/runtime";
import { describe, expect, it, test } from "vitest";
import {
  batchAt,
  cleanUp,
  createFakeServing,
  eventually,
  fetchFrom,
  followerId,
  leaderId,
  nothingNew,
  readOf,
  records,
  replica,
  runtime,
  type StreamsSetup,
  startLeader,
  type TestLeader,
} from "../testing/replica-harness.ts";

type Frame = MessageInitShape<typeof FetchRequestSchema>;
const who: Frame = { follower: followerId, leader: leaderId };
const named = (count: number): NonNullable<Frame["partitions"]> =>
  Array.from({ length: count }, (_, index) => replica(index));
const asked = (handle: number, from = 0, more: object = {}) => {
  const { brokerEpoch, leaderEpoch, session, fetchOffset, fetched, flushed } = fetchFrom(from);
  return { handle, brokerEpoch, leaderEpoch, session, fetchOffset, fetched, flushed, ...more };
};

/** A stream to a leader, spoken by hand. */
async function speak(serving = createFakeServing(), setup: Partial<StreamsSetup> = {}) {
  const leader = await startLeader(serving, setup);
  return { leader, serving, ...openStream(leader) };
}

function openStream(leader: TestLeader) {
  const channel = createChannel(leader.endpoint, { trafficClass: "replication", runtime });
  cleanUp(channel.close);
  const messages: FetchResponse[] = [];
  const closed = createDeferred<TidemarkError | undefined>();
  const stream: RawStream<Frame> = openRawStream(channel, ReplicaService.method.fetch, () => ({
    onMessage: (message) => messages.push(message),
    onClose: closed.resolve,
  }));
  const answers = () => messages.flatMap((message) => message.answers);
  const batches = () =>
    answers().flatMap(({ content }) => (content.case === "records" ? [content.value.batches.length] : []));
  return { stream, messages, answers, batches, closed: closed.promise };
}

describe("the leader's end of a replica stream", () => {
  it("answers what becomes ready in one turn with one message", async () => {
    const serving = createFakeServing();
    const { stream, messages } = await speak(serving);
    stream.write({ ...who, partitions: named(30), fetches: Array.from({ length: 30 }, (_, at) => asked(at)) });
    await eventually(() => serving.fetches.length).toBe(30);
    for (const { partition, reply } of serving.fetches) reply(partition < 20 ? nothingNew() : records([batchAt(0)]));
    await eventually(() => messages.flatMap(({ answers }) => answers).length).toBe(30);
    // Those with records were read first, which takes a turn of promises.
    expect(messages.length).toBeLessThanOrEqual(2);
  });

  it("lets a fetch wait as long as the follower says", async () => {
    const serving = createFakeServing();
    const { stream } = await speak(serving);
    const before = runtime.clock.monotonicMs();
    stream.write({ ...who, maxWaitMs: 7000, partitions: named(1), fetches: [asked(0)] });
    stream.write({ ...who, fetches: [asked(0)] });
    await eventually(() => serving.fetches.length).toBe(2);
    for (const { deadlineMs } of serving.fetches) expect(deadlineMs - before).toBeGreaterThanOrEqual(7000);
  });

  it("takes a further fetch of a partition in place of the one before it", async () => {
    const serving = createFakeServing();
    const { stream, answers } = await speak(serving);
    stream.write({ ...who, partitions: named(1), fetches: [asked(0)] });
    stream.write({ ...who, fetches: [asked(0, 0, { session: 2 })] });
    await eventually(() => serving.fetches.length).toBe(2);
    expect(serving.fetches[0]?.isCancelled).toBe(true);
    serving.fetches[0]?.reply(nothingNew());
    serving.fetches[1]?.reply(nothingNew());
    await eventually(() => answers().map(({ session }) => session)).toEqual([2]);
  });

  it("counts nothing as sent that was read for a fetch which another has replaced", async () => {
    const serving = createFakeServing();
    const { stream, answers } = await speak(serving);
    const sent: string[] = [];
    const readings = ["the first", "the second"].map((name) => {
      const done = createDeferred();
      const read = async () => {
        await done.promise;
        const trace = { traceparent: name, endOffset: offset(1n) };
        return { ...readOf([batchAt(0)]), sent: () => (sent.push(name), [trace]) };
      };
      return { read, done };
    });
    stream.write({ ...who, partitions: named(1), fetches: [asked(0)] });
    await eventually(() => serving.fetches.length).toBe(1);
    serving.fetches[0]?.reply(records([], readings[0]));
    stream.write({ ...who, fetches: [asked(0, 0, { session: 2 })] });
    await eventually(() => serving.fetches.length).toBe(2);
    serving.fetches[1]?.reply(records([], readings[1]));
    for (const { done } of readings) done.resolve();
    await eventually(() =>
      answers().map(({ session, content }) => [
        session,
        content.case === "records" && content.value.traces.map(({ traceparent }) => traceparent),
      ]),
    ).toEqual([[2, ["the second"]]]);
    expect(sent).toEqual(["the second"]);
  });

  /** Partitions with a record for every offset below `count`, one in each answer. */
  const oneByOne = (count: number) =>
    createFakeServing(({ fetch, reply }) => {
      const from = Number(fetch.fetchOffset);
      if (from < count) reply(records([batchAt(from)]));
    });

  it("goes on answering a fetch that stands, each time from where it ended, until it has sent as much", async () => {
    const { stream, answers, serving } = await speak(oneByOne(100));
    const standsForBytes = 2 * batchAt(0).length + 1;
    stream.write({ ...who, partitions: named(1), fetches: [asked(0, 0, { standsForBytes })] });
    await eventually(() => answers().map(({ stands, goesOnFrom }) => [stands, goesOnFrom])).toEqual([
      [true, undefined],
      [true, 1n],
      [false, 2n],
    ]);
    expect(serving.fetches.map(({ goesOnFrom }) => goesOnFrom)).toEqual([undefined, 1, 2]);
    stream.write({ ...who, fetches: [asked(0, 3)] });
    await eventually(() => answers().map(({ stands }) => stands)).toEqual([true, true, false, false]);
  });

  it("lets a fetch that stands wait anew with each answer, and ends it with one that waited in vain", async () => {
    const { stream, answers, serving } = await speak(oneByOne(1));
    const before = runtime.clock.monotonicMs();
    stream.write({ ...who, maxWaitMs: 7000, partitions: named(1), fetches: [asked(0, 0, { standsForBytes: 10_000 })] });
    await eventually(() => serving.fetches.length).toBe(2);
    expect(serving.fetches[1]?.deadlineMs).toBeGreaterThanOrEqual(before + 7000);
    serving.fetches[1]?.reply(nothingNew());
    await eventually(() => answers().map(({ stands, goesOnFrom }) => [stands, goesOnFrom])).toEqual([
      [true, undefined],
      [false, 1n],
    ]);
    expect(serving.fetches.length).toBe(2);
  });

  it("takes a further fetch in place of one that goes on", async () => {
    const { stream, serving } = await speak(oneByOne(1));
    stream.write({ ...who, partitions: named(1), fetches: [asked(0, 0, { standsForBytes: 10_000 })] });
    await eventually(() => serving.fetches.length).toBe(2);
    stream.write({ ...who, fetches: [asked(0, 1, { session: 2, standsForBytes: 10_000 })] });
    await eventually(() => serving.fetches.length).toBe(3);
    expect(serving.fetches.map(({ isCancelled }) => isCancelled)).toEqual([false, true, false]);
  });

  it("takes with a report how far the follower's log goes", async () => {
    const { stream, serving } = await speak();
    const flush = { handle: 0, brokerEpoch: 7, leaderEpoch: 3, session: 1, flushed: 4n };
    stream.write({ ...who, partitions: named(1), flushed: [flush] });
    stream.write({ ...who, flushed: [{ ...flush, fetched: 6n, lastFetchedEpoch: 2 }] });
    stream.write({ ...who, flushed: [{ ...flush, fetched: 6n }] });
    await eventually(() => serving.reports.map(({ report }) => report.position)).toEqual([
      undefined,
      { fetched: 6n, lastFetchedEpoch: 2 },
      { fetched: 6n, lastFetchedEpoch: -1 },
    ]);
  });

  it("sends no more than it has credit for, and goes on with more of it", async () => {
    const serving = createFakeServing(({ reply }) => reply(records([batchAt(0, 1000)])));
    const { stream, batches } = await speak(serving);
    const fetches = Array.from({ length: 10 }, (_, at) => asked(at));
    stream.write({ ...who, creditBytes: 1, partitions: named(10), fetches });
    // Whoever has any credit may send one batch: a batch larger than the credit passes.
    await eventually(batches).toHaveLength(1);
    // The first has overdrawn the credit.
    stream.write({ ...who, creditBytes: 1500 });
    await eventually(batches).toHaveLength(2);
    stream.write({ ...who, creditBytes: 100_000 });
    await eventually(batches).toHaveLength(10);
  });

  it("has credit from the start where the follower names none", async () => {
    const { stream, batches } = await speak(createFakeServing(({ reply }) => reply(records([batchAt(0)]))));
    stream.write({ ...who, partitions: named(1), fetches: [asked(0)] });
    await eventually(batches).toHaveLength(1);
  });

  it("shares the credit among the partitions that are ready, each in its turn", async () => {
    const shares: [partition: number, bytes: number][] = [];
    const serving = createFakeServing(({ partition, reply }) => {
      const read = (maxBytes: number) => {
        shares.push([partition, maxBytes]);
        return Promise.resolve(readOf([batchAt(0, Math.floor(maxBytes / 2))]));
      };
      reply(records([], { read }));
    });
    const limits = { shareBytesMin: 1000, readsMax: 1 };
    const { stream, answers } = await speak(serving, { limits });
    const fetches = [0, 1, 2, 3].map((at) => asked(at));
    // A credit of nothing but one byte, used up by the first partition, makes the others ready together.
    stream.write({ ...who, creditBytes: 1, partitions: named(4), fetches });
    await eventually(answers).toHaveLength(1);
    stream.write({ ...who, creditBytes: 30_000 });
    await eventually(answers).toHaveLength(4);
    const [first, ...rest] = shares;
    expect(first).toEqual([0, 1]);
    expect(rest.map(([partition]) => partition)).toEqual([1, 2, 3]);
    // A third of what there is, half of what is left then, and the rest.
    const [second, third, last] = rest.map(([, bytes]) => bytes);
    expect([second, third]).toEqual([expect.closeTo(10_000, -3), expect.closeTo(12_500, -3)]);
    expect(last).toBeLessThan(20_000);
    // Whoever asks again is behind those that wait.
    stream.write({ ...who, fetches: [asked(1), asked(0)] });
    await eventually(() => shares.map(([partition]) => partition)).toEqual([0, 1, 2, 3, 1, 0]);
  });

  it("cuts a large answer into messages of a good size, which follow each other", async () => {
    const batch = batchAt(0, 1_000_000);
    const { stream, messages, answers } = await speak(createFakeServing(({ reply }) => reply(records([batch]))));
    stream.write({ ...who, partitions: named(1), fetches: [asked(0)] });
    await eventually(() => answers().at(-1)?.content).toMatchObject({ case: "records", value: { bytesToCome: 0 } });
    const pieces = answers().flatMap(({ content }) => (content.case === "records" ? [content.value.batches] : []));
    expect(Buffer.concat(pieces).equals(batch)).toBe(true);
    expect(messages.length).toBe(4);
    for (const piece of pieces) expect(piece.length).toBeLessThanOrEqual(256 * 1024);
  });

  it("holds little for a follower that does not read, whatever credit it gave, and serves the others", async () => {
    let reads = 0;
    const serving = createFakeServing(({ partition, reply }) => {
      const read = () => {
        reads += 1;
        return Promise.resolve(readOf([batchAt(0, 500_000)]));
      };
      reply(partition === 0 ? nothingNew() : records([], { read }));
    });
    const { leader, stream } = await speak(serving);
    stream.pause();
    const count = 100;
    const fetches = Array.from({ length: count }, (_, at) => asked(at + 1));
    stream.write({ ...who, creditBytes: 2 ** 31, partitions: named(count + 1), fetches });
    await eventually(() => reads).toBeGreaterThan(2);
    const other = openStream(leader);
    for (let turn = 1; turn <= 20; turn++) {
      other.stream.write({ ...who, ...(turn === 1 && { partitions: named(1) }), fetches: [asked(0)] });
      await eventually(other.answers).toHaveLength(turn);
    }
    // 50 MB were asked for. Held are the windows of the connection, what is queued, and the reads under way.
    expect(reads).toBeLessThan(40);
    stream.resume();
    await eventually(() => reads).toBe(count);
  });

  it("says that a replica is offline where its log cannot be read, and serves the others", async () => {
    const read = () => Promise.reject(new Error("the disk is gone"));
    const serving = createFakeServing(({ partition, reply }) =>
      reply(records([batchAt(0)], partition === 0 ? { read } : {})),
    );
    const { stream, answers } = await speak(serving);
    stream.write({ ...who, partitions: named(2), fetches: [asked(0), asked(1)] });
    await eventually(() => new Map(answers().map(({ handle, content }) => [handle, content.case]))).toEqual(
      new Map([
        [0, "refused"],
        [1, "records"],
      ]),
    );
  });

  test.each<[what: string, frames: Frame[], says: RegExp]>([
    ["a number that stands for no partition", [{ ...who, fetches: [asked(0)] }], /at most one fetch/],
    ["a number beyond those given", [{ ...who, partitions: named(1), fetches: [asked(1)] }], /handle 1/],
    ["a report with such a number", [{ ...who, partitions: named(1), flushed: [asked(9)] }], /handle 9/],
    ["a negative offset", [{ ...who, partitions: named(1), fetches: [asked(0, 0, { fetched: -1n })] }], /fetched/],
    ["a negative flush", [{ ...who, partitions: named(1), flushed: [asked(0, 0, { flushed: -5n })] }], /flushed/],
    ["more flushed than fetched", [{ ...who, partitions: named(1), fetches: [asked(0, 5, { flushed: 6n })] }], /above/],
    [
      "more flushed than fetched in a report",
      [{ ...who, partitions: named(1), flushed: [{ handle: 0, session: 1, fetched: 5n, flushed: 6n }] }],
      /above/,
    ],
    [
      "a fetch from below its own end",
      [{ ...who, partitions: named(1), fetches: [asked(0, 5, { fetchOffset: 4n })] }],
      /below/,
    ],
    [
      "an epoch beyond 32 bits",
      [{ ...who, partitions: named(1), fetches: [asked(0, 0, { leaderEpoch: 2 ** 31 })] }],
      /leader_epoch/,
    ],
    ["a topic id that is none", [{ ...who, partitions: [{ topicId: "../../etc", partition: 0 }] }], /topic_id/],
    ["a partition that is none", [{ ...who, partitions: [{ ...replica(0), partition: 2 ** 31 }] }], /partition/],
    [
      "more fetches than partitions",
      [{ ...who, partitions: named(1), fetches: [asked(0), asked(0)] }],
      /at most one fetch/,
    ],
    [
      "more partitions than a stream may name",
      [
        { ...who, partitions: named(60_000) },
        { ...who, partitions: named(60_000) },
      ],
      /at most 100000/,
    ],
    ["a wait without end", [{ ...who, maxWaitMs: 2 ** 31 }], /max_wait_ms/],
    ["another broker's name in a later message", [who, { ...who, follower: 9 }], /follower is 9/],
    ["the leader's own name", [{ ...who, follower: leaderId }], /itself/],
    ["a message for another broker", [{ ...who, leader: 5 }], /not 5/],
  ])("ends with INVALID_ARGUMENT for %s, and the process goes on", async (_, frames, says) => {
    const { leader, serving, stream, closed } = await speak();
    for (const frame of frames) stream.write(frame);
    expect(await closed).toMatchObject({ reason: Reason.INVALID_ARGUMENT, message: says });
    expect(serving.fetches.every(({ isCancelled }) => isCancelled)).toBe(true);
    expect([serving.reports, leader.defects]).toEqual([[], []]);
    await eventually(() => leader.server.activeCalls).toBe(0);
  });
});
