import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Reason } from "@tidemark/proto/common/v1";
import {
  type FetchedRecord,
  Format,
  ListOffsetsResponseSchema,
  type SubscribeRequest,
  type SubscribeRequestSchema,
  type SubscribeResponse,
  type SubscribeResponseSchema,
} from "@tidemark/proto/log/v1";
import { type CallContext, reasonName, TidemarkError, toErrorDetail } from "@tidemark/rpc";
import { waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startWorld, type World } from "../../testing/world.ts";

type Frame = MessageInitShape<typeof SubscribeResponseSchema>;
let world: World;

beforeAll(async () => {
  world = await startWorld();
});
beforeEach(async () => {
  await world.reset();
  for (const broker of world.brokers) {
    broker.others.listOffsets = ({ partitions }) =>
      create(ListOffsetsResponseSchema, {
        offsets: partitions.map((partition) => ({ partition, offset: 0n, leaderEpoch: 1 })),
      });
  }
});
afterAll(() => world.stop());

/** One record a frame: its value is its offset. */
const data = (partition: number, offset: bigint, leaderEpoch = 1): Frame => ({
  frame: {
    case: "data",
    value: {
      partition,
      leaderEpoch,
      nextOffset: offset + 1n,
      records: [{ offset, leaderEpoch, valueForm: { case: "text", value: `${offset}` } }],
    },
  },
});
const caughtUp = (partition: number, highWatermark: bigint): Frame => ({
  frame: { case: "caughtUp", value: { partition, highWatermark } },
});
const notLeader = (leader?: { broker: number; endpoint: string; leaderEpoch: number }) =>
  new TidemarkError({ reason: Reason.NOT_LEADER, message: "-", ...(leader === undefined ? {} : { leader }) });

/** Until the call is over. */
const held = ({ signal }: CallContext) =>
  new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });

/** A broker that hands out these frames and then waits for more that never come. */
function handsOut(broker: number, frames: (request: SubscribeRequest) => readonly Frame[], end?: TidemarkError): void {
  world.broker(broker).others.subscribe = async function* (request, call) {
    yield* frames(request);
    if (end !== undefined) throw end;
    await held(call);
  };
}

/** Frames of a subscription, in one line each. */
function subscribe(request: MessageInitShape<typeof SubscribeRequestSchema> = {}) {
  const frames = world.log.subscribe({ topic: "orders", format: Format.TEXT, ...request })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const step = await frames.next();
    return step.done === true ? "end" : told(step.value);
  };
  const take = async (count: number): Promise<string[]> => {
    const taken: string[] = [];
    for (let index = 0; index < count; index++) taken.push(await next());
    return taken;
  };
  return { next, take, leave: () => frames.return?.() };
}

function told({ frame }: SubscribeResponse): string {
  switch (frame.case) {
    case "assigned":
      return `assigned ${frame.value.partitions.map((each) => `${each.partition}@${each.start.value}`).join(" ")}`;
    case "data": {
      const { partition, error, records } = frame.value;
      if (error !== undefined) return `${partition} failed ${reasonName(error.reason)}`;
      return `${partition}: ${records.map(textOf).join(" ")}`;
    }
    case "caughtUp":
      return `${frame.value.partition} caught up at ${frame.value.highWatermark}`;
    case "truncated":
      return `${frame.value.partition} truncated at ${frame.value.divergence?.offset}`;
    case "leaderChanged":
      return `${frame.value.partition} led by ${frame.value.leader?.broker}`;
    case undefined:
      return "nothing";
  }
}

function textOf({ valueForm }: FetchedRecord): string {
  return valueForm.case === "text" ? valueForm.value : "no text";
}

const offsetOf = (request: SubscribeRequest) => {
  const start = request.partitions[0]?.start;
  return start?.case === "offset" ? start.value : -1n;
};

describe("a subscription through a gateway", () => {
  it("follows every leader's partitions in one stream, and says once that it has everything", async () => {
    handsOut(1, () => [data(0, 0n), caughtUp(0, 1n), caughtUp(0, 1n), data(0, 1n)]);
    handsOut(2, () => [data(1, 0n), caughtUp(1, 1n)]);
    const { take, leave } = subscribe();
    const frames = await take(6);
    expect(frames[0]).toBe("assigned 0@0 1@0");
    expect(frames.filter((frame) => frame.startsWith("0"))).toEqual(["0: 0", "0 caught up at 1", "0: 1"]);
    expect(frames.filter((frame) => frame.startsWith("1"))).toEqual(["1: 0", "1 caught up at 1"]);
    await leave();
  });

  it("goes on at the next leader, behind what was handed out, and says who that is", async () => {
    handsOut(1, () => [data(0, 7n)], notLeader({ broker: 2, endpoint: world.broker(2).endpoint, leaderEpoch: 2 }));
    handsOut(2, (request) => [data(0, offsetOf(request), 2)]);
    const { take, leave } = subscribe({ partitions: [{ partition: 0, start: { case: "offset", value: 7n } }] });
    expect(await take(4)).toEqual(["assigned 0@7", "0: 7", "0 led by 2", "0: 8"]);
    expect(world.broker(2).subscribed[0]?.partitions[0]).toMatchObject({ leaderEpoch: 1, lastReadLeaderEpoch: 1 });
    await leave();
  });

  // What simulated seed 900026 found: the next request failed, and the process ended.
  it("follows the next leader also where that one has no leader epoch in common with what was handed out", async () => {
    const cut: Frame = {
      frame: { case: "truncated", value: { partition: 0, divergence: { leaderEpoch: -1, offset: 0n } } },
    };
    const next = notLeader({ broker: 2, endpoint: world.broker(2).endpoint, leaderEpoch: 2 });
    handsOut(1, () => [data(0, 0n), cut], next);
    handsOut(2, (request) => [data(0, offsetOf(request), 2)]);
    const { take, leave } = subscribe({ partitions: [{ partition: 0 }] });
    expect(await take(5)).toEqual(["assigned 0@0", "0: 0", "0 truncated at 0", "0 led by 2", "0: 0"]);
    expect(world.broker(2).subscribed[0]?.partitions[0]?.lastReadLeaderEpoch).toBeUndefined();
    await leave();
  });

  it("does not wait for a leader that is silent once there is a newer one", async () => {
    handsOut(1, () => [data(0, 0n)]);
    handsOut(2, (request) => [data(0, offsetOf(request), 2)]);
    const { take, leave } = subscribe({ partitions: [{ partition: 0 }] });
    await take(2);
    world.controller.lead({ partition: 0, leader: 2, leaderEpoch: 2 });
    expect(await take(2)).toEqual(["0 led by 2", "0: 1"]);
    await leave();
  });

  it("lives through a leader that breaks off, and repeats and leaves out nothing", async () => {
    let calls = 0;
    world.broker(1).others.subscribe = async function* (request, call) {
      calls += 1;
      yield data(0, offsetOf(request));
      if (calls < 4) throw new TidemarkError({ reason: Reason.UNAVAILABLE, message: "-" });
      await held(call);
    };
    const { take, leave } = subscribe({ partitions: [{ partition: 0 }] });
    expect(await take(5)).toEqual(["assigned 0@0", "0: 0", "0: 1", "0: 2", "0: 3"]);
    await leave();
  });

  it("ends when the credit is used up, to the record, whatever the leaders have sent meanwhile", async () => {
    handsOut(1, () => Array.from({ length: 10 }, (_, index) => data(0, BigInt(index))));
    handsOut(2, () => Array.from({ length: 10 }, (_, index) => data(1, BigInt(index))));
    const frames = await subscribe({ creditRecords: 3n }).take(5);
    expect(frames.at(-1)).toBe("end");
  });

  it("ends with the error of its only partition, and tells of one among others", async () => {
    const gone = new TidemarkError({ reason: Reason.OFFSET_OUT_OF_RANGE, message: "-" });
    handsOut(1, () => [], gone);
    handsOut(2, () => [data(1, 0n)]);
    const alone = subscribe({ partitions: [{ partition: 0 }] });
    await alone.next();
    await expect(alone.next()).rejects.toMatchObject({ reason: Reason.OFFSET_OUT_OF_RANGE });
    handsOut(1, () => [
      { frame: { case: "data", value: { partition: 0, error: toErrorDetail(gone), message: gone.message } } },
    ]);
    const { take, leave } = subscribe();
    expect((await take(3)).sort()).toEqual(["0 failed REASON_OFFSET_OUT_OF_RANGE", "1: 0", "assigned 0@0 1@0"]);
    await leave();
  });

  it("ends when its topic is deleted", async () => {
    const gone = new TidemarkError({ reason: Reason.UNKNOWN_TOPIC_ID, message: "-" });
    handsOut(1, (request) => (offsetOf(request) === 0n ? [data(0, 0n)] : []), gone);
    const { take, next } = subscribe({ partitions: [{ partition: 0 }] });
    await take(2);
    world.controller.putTopic({}, [{ partition: 0, leader: 2, leaderEpoch: 1 }]);
    await expect(next()).rejects.toMatchObject({ reason: Reason.UNKNOWN_TOPIC_ID, retriable: false });
  });

  it("46: a reader that stops holds back its leader and nobody else", async () => {
    const big = new Uint8Array(256 * 1024);
    let handedOut = 0;
    let calls = 0;
    // As a broker does it: ends when the credit of the call is used up.
    world.broker(1).others.subscribe = async function* ({ creditBytes }) {
      calls += 1;
      for (let sent = 0n; sent < creditBytes; sent += BigInt(big.length)) {
        handedOut += 1;
        yield { frame: { case: "data", value: { partition: 0, batches: big, nextOffset: BigInt(handedOut) } } };
      }
    };
    handsOut(2, () => Array.from({ length: 200 }, (_, index) => data(1, BigInt(index))));
    const stopped = subscribe({ format: Format.BATCHES, partitions: [{ partition: 0 }] });
    await stopped.next();
    await waitFor("the leader to be held back", async () => {
      const before = handedOut;
      await subscribe({ partitions: [{ partition: 1 }], creditRecords: 100n }).take(102);
      return handedOut === before && handedOut > 0;
    });
    // What one call sends ahead, once more for what lies in front of the reader, and what the connections hold.
    expect(handedOut * big.length).toBeLessThan(16 * 2 ** 20);
    const before = calls;
    await stopped.take(100);
    expect(calls).toBeGreaterThan(before);
    await stopped.leave();
  });
});
