import type { MessageInitShape } from "@bufbuild/protobuf";
import { Reason } from "@tidemark/proto/common/v1";
import { type FetchRequest, type FetchResponseSchema, ReplicaService } from "@tidemark/proto/replica/v1";
import { type RawStream, type RpcChannel, serve, TidemarkError } from "@tidemark/rpc";
import type { Scheduler } from "@tidemark/runtime";
import { describe, expect, it, test } from "vitest";
import {
  batchAt,
  createFakeReceiving,
  eventually,
  fetchFrom,
  flushedUpTo,
  leaderId,
  listen,
  logged,
  replica,
  runtime,
  startFollower,
} from "../testing/replica-harness.ts";

type Answer = MessageInitShape<typeof FetchResponseSchema>;
type Content = NonNullable<NonNullable<Answer["answers"]>[number]["content"]>;

interface SpokenStream {
  readonly requests: FetchRequest[];
  readonly stream: RawStream<Answer>;
  isClosed: boolean;
}

/** A leader that is spoken by hand. `onRequest` answers. */
async function listenByHand(onRequest: (stream: SpokenStream, request: FetchRequest) => void = () => undefined) {
  const streams: SpokenStream[] = [];
  const service = serve(
    ReplicaService,
    {},
    {
      raw: {
        fetch(stream) {
          const spoken: SpokenStream = { requests: [], stream, isClosed: false };
          streams.push(spoken);
          return {
            onMessage(request) {
              spoken.requests.push(request);
              onRequest(spoken, request);
            },
            onClose() {
              spoken.isClosed = true;
            },
          };
        },
      },
    },
  );
  return { ...(await listen(service)), streams };
}

const answer = (content: Content, handle = 0, session = 1): Answer => ({
  answers: [{ handle, session, leaderEpoch: 3, content }],
});
const recordsOf = (batches: Uint8Array, bytesToCome = 0): Content => ({
  case: "records",
  value: { batches, bytesToCome, logEnd: 1n },
});
/** A follower that takes whatever comes, and fetches on from where it ends. */
function startFollowerThatGoesOn(endpoint: string) {
  const receiving = createFakeReceiving(({ response, release }) => {
    release();
    const end = response.content.kind === "records" ? response.content.batches.at(-1)?.endOffset : undefined;
    if (end !== undefined) fetcher.fetch(leaderId, replica(0), fetchFrom(Number(end)));
  });
  const fetcher = startFollower(endpoint, receiving);
  return { fetcher, receiving };
}

const refusedAs = (reason: string) => ({ content: { kind: "refused", reason } });

describe("a follower's stream", () => {
  it("says everything of one turn with one message, and names each partition once", async () => {
    const { endpoint, streams } = await listenByHand();
    const fetcher = startFollower(endpoint, createFakeReceiving());
    for (let partition = 0; partition < 50; partition++) {
      fetcher.fetch(leaderId, replica(partition), fetchFrom(partition));
      if (partition % 2 === 0) fetcher.flushed(leaderId, replica(partition), flushedUpTo(partition));
    }
    await eventually(() => streams[0]?.requests.length).toBe(1);
    const [first] = streams[0]!.requests;
    expect([first?.partitions.length, first?.fetches.length, first?.flushed.length]).toEqual([50, 50, 25]);
    expect(first?.fetches.map(({ handle }) => first.partitions[handle]?.partition)).toEqual(
      Array.from({ length: 50 }, (_, index) => index),
    );
    expect(first).toMatchObject({ follower: 2, leader: 1, creditBytes: 8 * 2 ** 20, maxWaitMs: 500 });
    fetcher.flushed(leaderId, replica(7), flushedUpTo(8));
    await eventually(() => streams[0]?.requests[1]).toMatchObject({
      partitions: [],
      fetches: [],
      flushed: [{ handle: 7, flushed: 8n }],
      creditBytes: 0,
    });
  });

  it("says only the newest of a partition while the leader takes nothing", async () => {
    const { endpoint, streams } = await listenByHand();
    const fetcher = startFollower(endpoint, createFakeReceiving());
    fetcher.fetch(leaderId, replica(0), fetchFrom(1));
    fetcher.fetch(leaderId, replica(0), fetchFrom(2, { session: 2 as never }));
    fetcher.flushed(leaderId, replica(0), flushedUpTo(1));
    fetcher.flushed(leaderId, replica(0), flushedUpTo(2));
    await eventually(() => streams[0]?.requests).toMatchObject([
      { fetches: [{ session: 2, fetchOffset: 2n }], flushed: [{ flushed: 2n }] },
    ]);
  });

  it("asks for what its leader brings unasked only when that is over", async () => {
    const { endpoint, streams } = await listenByHand();
    const { fetcher, receiving } = startFollowerThatGoesOn(endpoint);
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => streams[0]?.requests.length).toBe(1);
    expect(streams[0]?.requests[0]?.fetches).toMatchObject([{ standsForBytes: 2 * 2 ** 20 }]);
    const bring = (base: number, more: object) =>
      streams[0]?.stream.write({
        answers: [{ handle: 0, session: 1, leaderEpoch: 3, content: recordsOf(batchAt(base)), ...more }],
      });
    bring(0, { stands: true });
    bring(1, { stands: true, goesOnFrom: 1n });
    await eventually(() => receiving.responses.length).toBe(2);
    fetcher.flushed(leaderId, replica(0), flushedUpTo(2, { fetched: 2n as never, lastFetchedEpoch: 3 as never }));
    await eventually(() => streams[0]?.requests[1]).toMatchObject({
      fetches: [],
      flushed: [{ flushed: 2n, fetched: 2n, lastFetchedEpoch: 3 }],
    });
    bring(2, { goesOnFrom: 2n });
    await eventually(() => streams[0]?.requests[2]).toMatchObject({ fetches: [{ fetchOffset: 3n }], flushed: [] });
  });

  it("throws away what goes on from elsewhere than its log ends", async () => {
    const { endpoint, streams } = await listenByHand();
    const receiving = createFakeReceiving();
    const fetcher = startFollower(endpoint, receiving);
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => streams[0]?.requests.length).toBe(1);
    const bring = (base: number, goesOnFrom: bigint) =>
      streams[0]?.stream.write({
        answers: [{ handle: 0, session: 1, leaderEpoch: 3, content: recordsOf(batchAt(base)), goesOnFrom }],
      });
    bring(7, 7n);
    bring(0, 0n);
    await eventually(() => receiving.responses.length).toBe(1);
    expect(receiving.responses[0]?.response.content).toMatchObject({ batches: [{ baseOffset: 0n }] });
  });

  it("asks in a new session though its leader would go on in the old one", async () => {
    const { endpoint, streams } = await listenByHand();
    const receiving = createFakeReceiving(({ release }) => {
      release();
      fetcher.fetch(leaderId, replica(0), fetchFrom(1, { session: 2 as never }));
    });
    const fetcher = startFollower(endpoint, receiving);
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => streams[0]?.requests.length).toBe(1);
    streams[0]?.stream.write({
      answers: [{ handle: 0, session: 1, leaderEpoch: 3, content: recordsOf(batchAt(0)), stands: true }],
    });
    await eventually(() => streams[0]?.requests[1]?.fetches).toMatchObject([{ session: 2, fetchOffset: 1n }]);
  });

  it("changes to the stream for catching up once its leader no longer goes on, and asks for one answer at a time there", async () => {
    const { endpoint, streams } = await listenByHand();
    const { fetcher, receiving } = startFollowerThatGoesOn(endpoint);
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => streams[0]?.requests.length).toBe(1);
    const bringFarBehind = (base: number, more: object) => {
      const content = { case: "records", value: { batches: batchAt(base), logEnd: 1_000_000n } } as const;
      streams[0]?.stream.write({ answers: [{ handle: 0, session: 1, leaderEpoch: 3, content, ...more }] });
    };
    bringFarBehind(0, { stands: true });
    await eventually(() => receiving.responses.length).toBe(1);
    fetcher.flushed(leaderId, replica(0), flushedUpTo(1));
    await eventually(() => streams[0]?.requests[1]).toMatchObject({ fetches: [], flushed: [{ flushed: 1n }] });
    expect(streams).toHaveLength(1);
    bringFarBehind(1, { goesOnFrom: 1n });
    await eventually(() => streams[1]?.requests[0]?.fetches).toMatchObject([{ fetchOffset: 2n, standsForBytes: 0 }]);
    expect(streams[0]?.requests).toHaveLength(2);
  });

  it("puts the pieces of an answer together, also where those of others stand between", async () => {
    const [batch, other] = [batchAt(0, 5000), batchAt(0, 3000)];
    const { endpoint } = await listenByHand(({ stream }) => {
      stream.write(answer(recordsOf(batch.subarray(0, 2000), batch.length - 2000), 0));
      stream.write(answer(recordsOf(other.subarray(0, 1000), other.length - 1000), 1));
      stream.write(answer(recordsOf(batch.subarray(2000)), 0));
      stream.write(answer(recordsOf(other.subarray(1000)), 1));
    });
    const receiving = createFakeReceiving();
    const fetcher = startFollower(endpoint, receiving);
    for (const partition of [0, 1]) fetcher.fetch(leaderId, replica(partition), fetchFrom(0));
    await eventually(() => receiving.responses.length).toBe(2);
    expect(receiving.responses.map(({ bytes }) => Buffer.from(bytes))).toEqual([
      Buffer.from(batch),
      Buffer.from(other),
    ]);
  });

  it("lets the leader send on as answers come, and only for what is written once much is not", async () => {
    const batch = batchAt(0, 3 * 2 ** 20);
    const { endpoint, streams } = await listenByHand(({ stream }, { fetches }) => {
      for (const { handle } of fetches) stream.write(answer(recordsOf(batch), handle));
    });
    const receiving = createFakeReceiving(() => undefined);
    const limits = { unwrittenBytesOfAll: batch.length };
    const fetcher = startFollower(endpoint, receiving, { limits });
    const credits = () => streams[0]?.requests.map(({ creditBytes }) => creditBytes).filter((bytes) => bytes > 0);
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(credits).toEqual([8 * 2 ** 20, batch.length]);
    fetcher.fetch(leaderId, replica(1), fetchFrom(0));
    await eventually(() => receiving.responses.length).toBe(2);
    fetcher.fetch(leaderId, replica(2), fetchFrom(0));
    await eventually(() => receiving.responses.length).toBe(3);
    expect(credits()).toEqual([8 * 2 ** 20, batch.length]);
    // The first was credited when it came, and each is released once.
    receiving.responses[0]?.release();
    receiving.responses[2]?.release();
    receiving.responses[2]?.release();
    await eventually(credits).toEqual([8 * 2 ** 20, batch.length, batch.length]);
  });

  it("does not fetch a partition of which much is not written, and goes on with the others", async () => {
    const batch = batchAt(0, 3 * 2 ** 20);
    const { endpoint, streams } = await listenByHand(({ stream }, { fetches }) => {
      for (const { handle } of fetches) stream.write(answer(recordsOf(batch), handle));
    });
    const receiving = createFakeReceiving(({ partition, release }) => {
      if (partition > 0) release();
    });
    const fetcher = startFollower(endpoint, receiving);
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => receiving.responses.length).toBe(1);
    // The disk under partition 0 hangs.
    fetcher.fetch(leaderId, replica(0), fetchFrom(1));
    for (let turn = 1; turn <= 5; turn++) {
      fetcher.fetch(leaderId, replica(1), fetchFrom(turn));
      await eventually(() => receiving.responses.length).toBe(1 + turn);
    }
    const fetched = (handle: number) =>
      streams[0]?.requests.flatMap(({ fetches }) => fetches).filter((each) => each.handle === handle).length;
    expect([fetched(0), fetched(1)]).toEqual([1, 5]);
    receiving.responses[0]?.release();
    await eventually(() => fetched(0)).toBe(2);
  });

  it("takes no batch whose checksum does not match, and asks again", async () => {
    const damaged = batchAt(0);
    damaged[80]! ^= 1;
    const { endpoint, streams } = await listenByHand(({ stream }) => stream.write(answer(recordsOf(damaged))));
    const receiving = createFakeReceiving();
    const fetcher = startFollower(endpoint, receiving);
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => receiving.responses.length).toBe(1);
    expect(receiving.responses[0]?.response).toMatchObject(refusedAs("NOT_LEADER"));
    expect(receiving.responses[0]?.bytes.length).toBe(0);
    expect(logged.join("")).toContain("checksum of the batch at offset 0 does not match");
    expect(streams[0]?.isClosed).toBe(false);
  });

  test.each<[what: string, hostile: Answer[]]>([
    ["a number that stands for no partition", [answer(recordsOf(batchAt(0)), 5)]],
    ["nothing", [{ answers: [{ handle: 0, session: 1 }] }]],
    ["a negative offset", [answer({ case: "behindLogStart", value: -1n })]],
    ["a negative high watermark", [answer({ case: "records", value: { highWatermark: -1n } })]],
    [
      "a leader epoch beyond 32 bits",
      [{ answers: [{ handle: 0, leaderEpoch: 2 ** 31, content: recordsOf(batchAt(0)) }] }],
    ],
    ["an answer without end", [answer(recordsOf(new Uint8Array(10), 2 ** 31))]],
    [
      "a piece that does not follow",
      [answer(recordsOf(new Uint8Array(10), 90)), answer(recordsOf(new Uint8Array(10), 90))],
    ],
    [
      "a piece of another answer",
      [answer(recordsOf(new Uint8Array(10), 90)), answer(recordsOf(new Uint8Array(90)), 0, 2)],
    ],
    ["an empty piece", [answer(recordsOf(new Uint8Array(0), 90))]],
  ])("ends, and refuses what has no answer, when the leader answers %s", async (_, hostile) => {
    const { endpoint, streams } = await listenByHand(({ stream }) => {
      for (const each of hostile) stream.write(each);
    });
    const receiving = createFakeReceiving();
    const fetcher = startFollower(endpoint, receiving);
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => receiving.responses.length).toBe(1);
    expect(receiving.responses[0]?.response).toMatchObject(refusedAs("NOT_LEADER"));
    await eventually(() => streams[0]?.isClosed).toBe(true);
    expect(logged.join("")).toContain("answered what cannot be");
  });

  it("takes a refusal that this version does not know as NOT_LEADER", async () => {
    const { endpoint } = await listenByHand(({ stream }) =>
      stream.write(answer({ case: "refused", value: 99 as never })),
    );
    const receiving = createFakeReceiving();
    startFollower(endpoint, receiving).fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => receiving.responses[0]?.response).toMatchObject(refusedAs("NOT_LEADER"));
  });

  it("goes on over a new stream, with new numbers, after the leader ended the old one well", async () => {
    const { endpoint, streams } = await listenByHand(({ stream }, { fetches }) => {
      if (fetches.some(({ session }) => session === 1)) stream.end();
    });
    const receiving = createFakeReceiving();
    const fetcher = startFollower(endpoint, receiving);
    for (const partition of [0, 1]) fetcher.fetch(leaderId, replica(partition), fetchFrom(0));
    await eventually(() => receiving.responses.length).toBe(2);
    fetcher.fetch(leaderId, replica(1), fetchFrom(0, { session: 2 as never }));
    await eventually(() => streams[1]?.requests[0]).toMatchObject({
      partitions: [{ partition: 1 }],
      fetches: [{ handle: 0, session: 2 }],
      creditBytes: 8 * 2 ** 20,
    });
  });

  it("is not opened for a report alone, which the next fetch says anyway", async () => {
    const { endpoint, streams } = await listenByHand();
    const opened: string[] = [];
    const fetcher = startFollower(endpoint, createFakeReceiving(), { onOpen: (at) => opened.push(at) });
    fetcher.flushed(leaderId, replica(0), flushedUpTo(3));
    await new Promise((resolve) => {
      runtime.scheduler.afterInput(() => runtime.scheduler.afterInput(() => resolve(undefined)));
    });
    expect(opened).toEqual([]);
    fetcher.fetch(leaderId, replica(0), fetchFrom(3));
    await eventually(() => streams[0]?.requests).toMatchObject([{ fetches: [{}], flushed: [{ flushed: 3n }] }]);
  });

  it("refuses its fetches, not from within the call, where a transport knows at once that it cannot connect", async () => {
    const receiving = createFakeReceiving();
    const noRoute = new TidemarkError({ reason: Reason.UNAVAILABLE, message: "no route" });
    const wrapChannel = (channel: RpcChannel): RpcChannel => ({
      ...channel,
      startCall: (call) => ({
        ...channel.startCall(call),
        start(_headers, { onStatus }) {
          onStatus({ code: noRoute.grpcStatus, details: noRoute.message, metadata: { get: () => [] } as never });
        },
      }),
    });
    const fetcher = startFollower("127.0.0.1:1", receiving, { wrapChannel });
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    expect(receiving.responses).toEqual([]);
    await eventually(() => receiving.responses[0]?.response).toMatchObject(refusedAs("NOT_LEADER"));
  });

  it("is closed when nothing was asked for long, and not while a fetch waits", async () => {
    const { endpoint, streams } = await listenByHand(({ stream }, { fetches }) => {
      if (fetches.some(({ session }) => session === 2))
        stream.write(answer({ case: "behindLogStart", value: 1n }, 0, 2));
    });
    // The only timer that a stream which works has.
    const timers: (() => void)[] = [];
    const scheduler: Scheduler = {
      afterInput: runtime.scheduler.afterInput,
      after(_delayMs, task) {
        timers.push(task);
        return () => undefined;
      },
    };
    const receiving = createFakeReceiving();
    const fetcher = startFollower(endpoint, receiving, { scheduler });
    const passIdleTime = () => timers.at(-1)?.();
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => streams[0]?.requests.length).toBe(1);
    passIdleTime();
    passIdleTime();
    fetcher.fetch(leaderId, replica(0), fetchFrom(0, { session: 2 as never }));
    await eventually(() => receiving.responses.length).toBe(1);
    passIdleTime();
    expect(streams[0]?.isClosed).toBe(false);
    passIdleTime();
    await eventually(() => streams[0]?.isClosed).toBe(true);
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => streams[1]?.requests.length).toBe(1);
  });

  it("counts what is released of an older stream for nothing", async () => {
    const batch = batchAt(0, 3 * 2 ** 20);
    const { endpoint, streams } = await listenByHand(({ stream }, { fetches }) => {
      if (fetches.some(({ session }) => session === 1)) stream.write(answer(recordsOf(batch)));
    });
    const receiving = createFakeReceiving(() => undefined);
    const fetcher = startFollower(endpoint, receiving, { limits: { unwrittenBytesOfAll: 0 } });
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => receiving.responses.length).toBe(1);
    fetcher.fetch(leaderId, replica(1), fetchFrom(0, { session: 2 as never }));
    await eventually(() => streams[0]?.requests.length).toBe(2);
    streams[0]?.stream.end();
    await eventually(() => receiving.responses[1]?.response).toMatchObject(refusedAs("NOT_LEADER"));
    fetcher.fetch(leaderId, replica(0), fetchFrom(0, { session: 3 as never }));
    await eventually(() => streams[1]?.requests.length).toBe(1);
    receiving.responses[0]?.release();
    fetcher.fetch(leaderId, replica(0), fetchFrom(0, { session: 4 as never }));
    await eventually(() => streams[1]?.requests.map(({ creditBytes }) => creditBytes)).toEqual([8 * 2 ** 20, 0]);
  });
});
