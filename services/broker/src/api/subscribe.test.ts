import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Reason } from "@tidemark/proto/common/v1";
import {
  type FetchedRecord,
  Format,
  ProduceRequestSchema,
  RecordSchema,
  SubscribeRequestSchema,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "@tidemark/proto/log/v1";
import { reasonName, TidemarkError } from "@tidemark/rpc";
import { beforeEach, describe, expect, it } from "vitest";
import { type BrokerBench, callContext, createBrokerBench, imageOf } from "../testing/broker-bench.ts";

const topics = [{ name: "t", partitions: 3, ledByOther: [2] }];
let bench: BrokerBench;

beforeEach(async () => {
  bench = await createBrokerBench(imageOf(topics));
});

const produce = (partition: number, values: readonly string[]) =>
  bench.produce(
    create(ProduceRequestSchema, {
      topic: "t",
      partition,
      records: values.map((value) => create(RecordSchema, { valueForm: { case: "text", value } })),
    }),
    callContext(),
  );

/** A subscription whose frames are taken one by one. Time passes while one is waited for. */
function subscribe(request: MessageInitShape<typeof SubscribeRequestSchema>, signal?: AbortSignal) {
  const asked = create(SubscribeRequestSchema, { topic: "t", format: Format.TEXT, ...request });
  const frames = bench.subscribe(asked, callContext(signal === undefined ? {} : { signal }));
  const next = async () => {
    const step = await frames.next();
    return step.done === true ? "end" : told(create(SubscribeResponseSchema, step.value));
  };
  const take = async (count: number) => {
    const taken: string[] = [];
    for (let index = 0; index < count; index++) taken.push(await next());
    return taken;
  };
  return { next, take };
}

function textOf({ valueForm }: FetchedRecord): string {
  return valueForm.case === "text" ? valueForm.value : "no text";
}

/** A frame in one line. */
function told({ frame }: SubscribeResponse): string {
  switch (frame.case) {
    case "assigned":
      return `assigned ${frame.value.partitions.map((each) => `${each.partition}@${each.start.value}`).join(" ")}`;
    case "data": {
      const { partition, error, records } = frame.value;
      if (error !== undefined) return `${partition} failed ${reasonName(error.reason).slice(7)}`;
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

const one = { partitions: [{ partition: 0 }] };

describe("a subscription", () => {
  it("hands out a batch above its partition's share though another partition always has something", async () => {
    const [busy, large] = ["b".repeat(600), "l".repeat(3000)];
    for (let index = 0; index < 10; index++) await produce(0, [busy]);
    await produce(1, [large]);
    const { take } = subscribe({ partitions: [{ partition: 0 }, { partition: 1 }], maxBytes: 1000 });
    expect(await take(3)).toEqual(["assigned 0@0 1@0", `0: ${busy}`, `1: ${large}`]);
  });

  it("says what it follows, hands out what is there, says that it is all, and goes on with what comes", async () => {
    await produce(0, ["a", "b"]);
    const { take, next } = subscribe(one);
    expect(await take(3)).toEqual(["assigned 0@0", "0: a b", "0 caught up at 2"]);
    const more = next();
    await produce(0, ["c"]);
    expect([await more, await next()]).toEqual(["0: c", "0 caught up at 3"]);
  });

  it("of an empty partition is caught up at once, and says so once", async () => {
    const { take, next } = subscribe(one);
    expect(await take(2)).toEqual(["assigned 0@0", "0 caught up at 0"]);
    const more = next();
    await bench.time.advance(100_000);
    await produce(0, ["a"]);
    expect(await more).toBe("0: a");
  });

  it("begins at the offset, or at the end, where that is asked for", async () => {
    await produce(0, ["a", "b"]);
    const at = subscribe({ partitions: [{ partition: 0, start: { case: "offset", value: 1n } }] });
    expect(await at.take(3)).toEqual(["assigned 0@1", "0: b", "0 caught up at 2"]);
    const latest = subscribe({ partitions: [{ partition: 0, start: { case: "position", value: 2 } }] });
    expect(await latest.take(2)).toEqual(["assigned 0@2", "0 caught up at 2"]);
  });

  it("without partitions follows those that are led here", async () => {
    await produce(0, ["a"]);
    await produce(1, ["b"]);
    const frames = await subscribe({}).take(5);
    expect(frames[0]).toBe("assigned 0@0 1@0");
    expect(frames.slice(1).sort()).toEqual(["0 caught up at 1", "0: a", "1 caught up at 1", "1: b"]);
  });

  it("ends when its credit of records is used up, to the record", async () => {
    await produce(0, ["a", "b", "c"]);
    const { take } = subscribe({ ...one, creditRecords: 2n });
    expect(await take(3)).toEqual(["assigned 0@0", "0: a b", "end"]);
  });

  it("ends when its credit of bytes is used up, with one message in any case", async () => {
    await produce(0, ["a".repeat(100)]);
    await produce(0, ["b".repeat(100)]);
    const { take } = subscribe({ ...one, creditBytes: 1n, format: Format.BATCHES });
    expect((await take(3)).at(-1)).toBe("end");
  });

  it("hands out no message above its size where batches are smaller", async () => {
    for (const value of ["a", "b", "c"]) await produce(0, [value.repeat(1000)]);
    const { take } = subscribe({ ...one, maxBytes: 1500 });
    expect((await take(5)).map((frame) => frame.slice(0, 4))).toEqual(["assi", "0: a", "0: b", "0: c", "0 ca"]);
  });

  it("ends with the reason when the broker stops, also while it waits", async () => {
    const stop = new AbortController();
    const { take, next } = subscribe(one, stop.signal);
    await take(2);
    const more = next();
    stop.abort(new TidemarkError({ reason: Reason.SHUTTING_DOWN, message: "Stopping" }));
    await expect(more).rejects.toMatchObject({ reason: Reason.SHUTTING_DOWN });
  });
});

describe("a subscription whose partition is lost", () => {
  it("says who leads now, and ends with that as its error", async () => {
    const { take, next } = subscribe(one);
    await take(2);
    const more = next();
    await bench.apply(imageOf([{ ...topics[0], name: "t", ledByOther: [0, 2], leaderEpoch: 4 }]));
    expect(await more).toBe("0 led by 2");
    await expect(next()).rejects.toMatchObject({ reason: Reason.NOT_LEADER, fields: { leader: { broker: 2 } } });
  });

  it("goes on with the others", async () => {
    const { take, next } = subscribe({ partitions: [{ partition: 0 }, { partition: 1 }] });
    await take(3);
    const more = next();
    await bench.apply(imageOf([{ ...topics[0], name: "t", ledByOther: [0, 2], leaderEpoch: 4 }]));
    expect([await more, await next()]).toEqual(["0 led by 2", "0 failed NOT_LEADER"]);
    const data = next();
    await produce(1, ["x"]);
    expect(await data).toBe("1: x");
  });

  it("is refused at once where it is the only one, and told of beside others where it is not", async () => {
    await expect(subscribe({ partitions: [{ partition: 2 }] }).next()).rejects.toMatchObject({
      reason: Reason.NOT_LEADER,
    });
    const two = subscribe({ partitions: [{ partition: 2 }, { partition: 0 }] });
    expect(await two.take(3)).toEqual(["assigned 0@0", "2 failed NOT_LEADER", "0 caught up at 0"]);
  });
});

it("47: what was cut from the log is told with its place, and what stands there now follows", async () => {
  await produce(0, ["a", "b"]);
  const { take } = subscribe({
    partitions: [{ partition: 0, start: { case: "offset", value: 5n }, lastReadLeaderEpoch: 3 }],
  });
  expect(await take(3)).toEqual(["assigned 0@5", "0 truncated at 2", "0 caught up at 2"]);
});

it("47: an offset that is not there ends it with the offsets that are", async () => {
  const { take, next } = subscribe({ partitions: [{ partition: 0, start: { case: "offset", value: 5n } }] });
  await take(1);
  await expect(next()).rejects.toMatchObject({ reason: Reason.OFFSET_OUT_OF_RANGE });
});
