import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Reason } from "@tidemark/proto/common/v1";
import {
  DescribeLogRequestSchema,
  ExplainOffsetRequestSchema,
  FetchRequestSchema,
  Format,
  ListOffsetsRequestSchema,
  OffsetState,
  Position,
  ProduceRequestSchema,
  RecordSchema,
  SubscribeRequestSchema,
} from "@tidemark/proto/log/v1";
import { iterateBatches } from "@tidemark/record";
import { beforeEach, describe, expect, it, test } from "vitest";
import { type BrokerBench, callContext, createBrokerBench, imageOf } from "../testing/broker-bench.ts";

let bench: BrokerBench;

beforeEach(async () => {
  bench = await createBrokerBench(imageOf([{ name: "t", partitions: 3, ledByOther: [2] }]));
});

const produce = (partition: number, values: readonly string[], timestampMs?: number) =>
  bench.produce(
    create(ProduceRequestSchema, {
      topic: "t",
      partition,
      records: values.map((value) =>
        create(RecordSchema, {
          valueForm: { case: "text", value },
          ...(timestampMs === undefined ? {} : { timestamp: timestampFromMs(timestampMs) }),
        }),
      ),
    }),
    callContext(),
  );

const fetch = (request: MessageInitShape<typeof FetchRequestSchema>, signal?: AbortSignal) =>
  bench.fetch(
    create(FetchRequestSchema, { topic: "t", format: Format.TEXT, ...request }),
    callContext(signal === undefined ? {} : { signal }),
  );

const values = (answer: Awaited<ReturnType<typeof fetch>>) =>
  answer.partitions.map((partition) => partition.records.map((record) => record.valueForm.value));

describe("fetch", () => {
  it("reads every partition from its log start, and says of each that failed why", async () => {
    await produce(0, ["a", "b"]);
    await produce(1, ["c"]);
    const answer = await fetch({});
    expect(values(answer)).toEqual([["a", "b"], ["c"], []]);
    expect(answer.partitions[2]?.error?.reason).toBe(Reason.NOT_LEADER);
  });

  it("goes on from its `next`, record by record, without a gap or a repeat", async () => {
    await produce(0, ["a", "b", "c"]);
    await produce(0, ["d"]);
    const seen: unknown[] = [];
    let request: MessageInitShape<typeof FetchRequestSchema> = { partitions: [{ partition: 0 }], maxRecords: 1 };
    for (let turn = 0; turn < 5; turn++) {
      const answer = await fetch(request);
      seen.push(...(values(answer)[0] ?? []));
      if (answer.next === undefined) throw new Error("no next");
      request = answer.next;
    }
    expect(seen).toEqual(["a", "b", "c", "d"]);
  });

  it("names first in its `next` what got nothing though it has more, so that a batch above its share comes too", async () => {
    for (let index = 0; index < 4; index++) await produce(0, ["b".repeat(600)]);
    await produce(1, ["l".repeat(3000)]);
    const both = { partitions: [{ partition: 0 }, { partition: 1 }], maxBytes: 1000 };
    const first = await fetch(both);
    expect(first.partitions.map(({ records }) => records.length)).toEqual([1, 0]);
    const { partitions } = await fetch(first.next ?? {});
    expect(partitions.map(({ partition, records }) => [partition, records.length])).toEqual([
      [1, 1],
      [0, 0],
    ]);
  });

  it.each([
    ["a partition twice", [0, 1, 0], "names 0 twice"],
    ["more than there can be", Array.from({ length: 50_001 }, (_, index) => index), "names 50001"],
  ])("refuses to be asked for %s, as every call that names partitions does", async (_, named, message) => {
    const refusal = { reason: Reason.INVALID_ARGUMENT, message: expect.stringContaining(message) as string };
    const partitions = named.map((partition) => ({ partition }));
    await expect(fetch({ partitions })).rejects.toMatchObject(refusal);
    const subscription = bench.subscribe(create(SubscribeRequestSchema, { topic: "t", partitions }), callContext());
    await expect(subscription.next()).rejects.toMatchObject(refusal);
    const offsets = create(ListOffsetsRequestSchema, { topic: "t", partitions: named });
    await expect(bench.listOffsets(offsets, callContext())).rejects.toMatchObject(refusal);
    const logs = create(DescribeLogRequestSchema, { topic: "t", partitions: named });
    expect(() => bench.describeLog(logs)).toThrow(message);
  });

  it("hands out nothing that is not flushed", async () => {
    const release = bench.gated.holdSyncs();
    const answer = produce(0, ["a"]);
    await bench.time.advance(10);
    expect(values(await fetch({ partitions: [{ partition: 0 }] }))).toEqual([[]]);
    release();
    await answer;
    expect(values(await fetch({ partitions: [{ partition: 0 }] }))).toEqual([["a"]]);
  });

  it("waits for data and wakes when it is committed", async () => {
    const waiting = fetch({ partitions: [{ partition: 0 }, { partition: 1 }], maxWaitMs: 10_000 });
    await bench.time.advance(100);
    await produce(1, ["late"]);
    expect(values(await waiting)).toEqual([[], ["late"]]);
  });

  it("waits for as many bytes as were asked for, and no longer than was asked for", async () => {
    const waiting = fetch({ partitions: [{ partition: 0 }], maxWaitMs: 1000, minBytes: 10_000 });
    let isAnswered = false;
    const answered = waiting.then((answer) => {
      isAnswered = true;
      return answer;
    });
    await produce(0, ["little"]);
    await bench.time.advance(900);
    expect(isAnswered).toBe(false);
    await bench.time.advance(100);
    expect(values(await answered)).toEqual([["little"]]);
  });

  it("ends its wait when the caller is gone", async () => {
    const abort = new AbortController();
    const waiting = fetch({ partitions: [{ partition: 0 }], maxWaitMs: 60_000 }, abort.signal);
    await bench.time.advance(10);
    abort.abort();
    expect(values(await waiting)).toEqual([[]]);
    expect(bench.time.pending()).toBe(0);
  });

  it("gives each partition its share of the bytes", async () => {
    for (let batch = 0; batch < 20; batch++) {
      await produce(0, ["x".repeat(1000)]);
      await produce(1, ["y".repeat(1000)]);
    }
    const answer = await fetch({ partitions: [{ partition: 0 }, { partition: 1 }], maxBytes: 8000 });
    const counts = values(answer).map((records) => records.length);
    expect(Math.min(...counts)).toBeGreaterThan(1);
    expect(Math.abs((counts[0] ?? 0) - (counts[1] ?? 0))).toBeLessThanOrEqual(2);
  });

  it("gives all bytes to those that have something: a partition without news takes no share", async () => {
    for (let batch = 0; batch < 20; batch++) await produce(1, ["y".repeat(1000)]);
    const partitions = [{ partition: 0 }, { partition: 1 }];
    for (const format of [Format.TEXT, Format.BATCHES]) {
      const answer = await fetch({ partitions, maxBytes: 8000, format });
      expect(answer.partitions.map(({ nextOffset }) => nextOffset)).toEqual([0n, 7n]);
    }
  });

  it("gives what some leave over to those that have more", async () => {
    for (let batch = 0; batch < 20; batch++) await produce(0, ["x".repeat(1000)]);
    await produce(1, ["y"]);
    const partitions = [{ partition: 0 }, { partition: 1 }];
    const answer = await fetch({ partitions, maxBytes: 8000, format: Format.BATCHES });
    expect(answer.partitions.map(({ nextOffset }) => nextOffset)).toEqual([7n, 1n]);
    const bytes = answer.partitions[0]?.batches ?? new Uint8Array();
    expect([...iterateBatches(bytes)].filter(({ kind }) => kind === "ok")).toHaveLength(7);
  });

  it("tells of a partition that failed at once, however long the others would wait", async () => {
    const answer = await fetch({ partitions: [{ partition: 0 }, { partition: 2 }], maxWaitMs: 60_000 });
    expect(answer.partitions.map(({ error }) => error?.reason)).toEqual([undefined, Reason.NOT_LEADER]);
    expect(bench.time.pending()).toBe(0);
  });

  it("ends its wait when the leader changes", async () => {
    const waiting = fetch({ partitions: [{ partition: 0 }], maxWaitMs: 60_000 }).catch((error: unknown) => error);
    await bench.time.advance(10);
    await bench.apply(imageOf([{ name: "t", partitions: 3, ledByOther: [0, 2], leaderEpoch: 4 }]));
    expect(await waiting).toMatchObject({ reason: Reason.NOT_LEADER, fields: { leader: { broker: 2 } } });
  });

  it("47: says where the logs part when what was read before is not in the log any more", async () => {
    await produce(0, ["a"]);
    await bench.apply(imageOf([{ name: "t", partitions: 3, ledByOther: [2], leaderEpoch: 6 }]));
    await produce(0, ["b"]);
    const start = { case: "offset", value: 2n } as const;
    await expect(fetch({ partitions: [{ partition: 0, start, lastReadLeaderEpoch: 5 }] })).rejects.toMatchObject({
      reason: Reason.LOG_TRUNCATED,
      fields: { divergence: { leaderEpoch: 3, offset: 1n } },
    });
    expect(values(await fetch({ partitions: [{ partition: 0, start, lastReadLeaderEpoch: 6 }] }))).toEqual([[]]);
  });

  it("says how long ago the controller was heard", async () => {
    const answer = await fetch({ partitions: [{ partition: 0 }] });
    expect(answer.partitions[0]?.controllerContactAgeMs).toBe(0);
  });

  it("hands out a batch that is larger than the limit, alone", async () => {
    await produce(0, ["x".repeat(9000)]);
    await produce(1, ["y".repeat(9000)]);
    const answer = await fetch({
      partitions: [{ partition: 0 }, { partition: 1 }],
      maxBytes: 100,
      format: Format.BATCHES,
    });
    expect(answer.partitions.map((partition) => partition.batches.length > 9000)).toEqual([true, false]);
    expect(answer.partitions[1]?.nextOffset).toBe(0n);
  });

  it("hands out whole batches in the fast form, from the one that holds the offset", async () => {
    await produce(0, ["a", "b", "c"]);
    const answer = await fetch({
      partitions: [{ partition: 0, start: { case: "offset", value: 1n } }],
      format: Format.BATCHES,
    });
    const bytes = answer.partitions[0]?.batches ?? new Uint8Array();
    const [first] = iterateBatches(bytes);
    expect(first).toMatchObject({ kind: "ok", header: { baseOffset: 0n, leaderEpoch: 3, recordCount: 3 } });
    expect(answer.partitions[0]?.nextOffset).toBe(3n);
  });

  test.each([
    ["above the log end", { start: { case: "offset", value: 5n } }, Reason.OFFSET_OUT_OF_RANGE],
    ["below zero", { start: { case: "offset", value: -1n } }, Reason.OFFSET_OUT_OF_RANGE],
    ["of a leader epoch that is newer", { leaderEpoch: 9 }, Reason.UNKNOWN_LEADER_EPOCH],
  ] as const)("refuses an offset %s", async (_, asked, reason) => {
    await produce(0, ["a"]);
    await expect(fetch({ partitions: [{ partition: 0, ...asked }] })).rejects.toMatchObject({ reason });
  });

  it("begins at the high watermark where the latest is asked for", async () => {
    await produce(0, ["a"]);
    const answer = await fetch({ partitions: [{ partition: 0, start: { case: "position", value: Position.LATEST } }] });
    expect(answer.partitions[0]).toMatchObject({ nextOffset: 1n, highWatermark: 1n, records: [] });
  });
});

describe("a linearizable fetch", () => {
  const linearizable = { topic: "t", partitions: [{ partition: 0 }], linearizable: true, format: Format.TEXT };
  const ask = (confirming: BrokerBench) =>
    confirming.fetch(create(FetchRequestSchema, linearizable), callContext()).catch((error: unknown) => error);

  it("is answered when the controller has confirmed the leader", async () => {
    const confirming = await createBrokerBench(imageOf([{ name: "t" }]), { confirms: () => true });
    const answer = ask(confirming);
    await confirming.time.advance(5);
    expect(await answer).toMatchObject({ partitions: [{ partition: 0, highWatermark: 0n, leaderEpoch: 3 }] });
  });

  it("is refused where the leader epoch is another one by the time it reads", async () => {
    let change: Promise<void> | undefined;
    const confirming = await createBrokerBench(imageOf([{ name: "t" }]), {
      confirms: () => {
        // The answer of the controller is on its way to the reader when the next election arrives.
        change = Promise.resolve().then(() => confirming.apply(imageOf([{ name: "t", leaderEpoch: 4 }])));
        return true;
      },
    });
    const answer = ask(confirming);
    await confirming.time.advance(5);
    expect(await answer).toMatchObject({ reason: Reason.OFFSET_NOT_AVAILABLE, retriable: true });
    await change;
  });
});

describe("offsets", () => {
  const list = (target: MessageInitShape<typeof ListOffsetsRequestSchema>["target"]) =>
    bench.listOffsets(
      create(ListOffsetsRequestSchema, { topic: "t", partitions: [0], ...(target ? { target } : {}) }),
      callContext(),
    );

  it("are found by name and by time", async () => {
    await produce(0, ["a", "b"], 1000);
    await produce(0, ["c"], 2000);
    const offsetOf = async (target?: Parameters<typeof list>[0]) => (await list(target)).offsets[0]?.offset;
    expect(await offsetOf()).toBe(0n);
    expect(await offsetOf({ case: "position", value: Position.LATEST })).toBe(3n);
    expect(await offsetOf({ case: "timestamp", value: timestampFromMs(1000) })).toBe(0n);
    expect(await offsetOf({ case: "timestamp", value: timestampFromMs(1001) })).toBe(2n);
    expect(await offsetOf({ case: "timestamp", value: timestampFromMs(2001) })).toBeUndefined();
  });
});

describe("explaining and describing", () => {
  it("says where an offset stands", async () => {
    await produce(0, ["a"]);
    const release = bench.gated.holdSyncs();
    const pending = produce(0, ["b"]);
    await bench.time.advance(1);
    const state = (offset: bigint) =>
      bench.explainOffset(create(ExplainOffsetRequestSchema, { topic: "t", partition: 0, offset })).state;
    expect([state(0n), state(1n), state(2n)]).toEqual([
      OffsetState.COMMITTED,
      OffsetState.UNCOMMITTED,
      OffsetState.NOT_APPENDED,
    ]);
    release();
    await pending;
    expect(state(1n)).toBe(OffsetState.COMMITTED);
  });

  it("says how a log stands", async () => {
    await produce(0, ["a", "b"]);
    const { logs } = bench.describeLog(create(DescribeLogRequestSchema, { topic: "t" }));
    expect(logs).toMatchObject([
      { partition: 0, broker: 1, logEnd: 2n, highWatermark: 2n, flushed: 2n, segments: 1, leaderEpoch: 3 },
      { partition: 1, logEnd: 0n },
    ]);
  });
});
