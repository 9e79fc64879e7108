import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { encodeRecords, textToBytes } from "@tidemark/format";
import { type Codec, Outcome, Reason } from "@tidemark/proto/common/v1";
import { Acks, FetchRequestSchema, Format, ProduceRequestSchema, RecordSchema } from "@tidemark/proto/log/v1";
import { portableCrc32c } from "@tidemark/record";
import { reasonName, TidemarkError } from "@tidemark/rpc";
import { beforeEach, describe, expect, it, test } from "vitest";
import { type BrokerBench, callContext, createBrokerBench, imageOf } from "../testing/broker-bench.ts";

const text = (value: string) => create(RecordSchema, { valueForm: { case: "text", value } });

function batch(...values: string[]): Uint8Array {
  const encoded = encodeRecords(values.map(text), { nowMs: 5, crc32c: portableCrc32c });
  if (encoded.kind !== "ok") throw new Error(encoded.message);
  return encoded.batch;
}

function changed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = value;
  return copy;
}

/** The batch with one byte changed and a checksum that is right again. */
function resealed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = changed(bytes, at, value);
  new DataView(copy.buffer).setUint32(17, portableCrc32c(copy.subarray(21)));
  return copy;
}

let bench: BrokerBench;

beforeEach(async () => {
  bench = await createBrokerBench(imageOf([{ name: "t", partitions: 3, ledByOther: [2] }]));
});

const produce = (request: MessageInitShape<typeof ProduceRequestSchema>) =>
  bench.produce(create(ProduceRequestSchema, { topic: "t", ...request }), callContext());

const fetchTexts = async (partition: number) => {
  const { partitions } = await bench.fetch(
    create(FetchRequestSchema, { topic: "t", partitions: [{ partition }], format: Format.TEXT }),
    callContext(),
  );
  return partitions[0]?.records.map((record) => record.valueForm.value);
};

describe("produce", () => {
  it("appends records in their order and names their offsets", async () => {
    const first = await produce({ partition: 0, records: [text("a"), text("b")] });
    const second = await produce({ partition: 0, records: [text("c")] });
    expect(first.results).toEqual([{ partition: 0, records: 2, baseOffset: 0n, leaderEpoch: 3 }]);
    expect(second.results).toMatchObject([{ baseOffset: 2n }]);
    expect(await fetchTexts(0)).toEqual(["a", "b", "c"]);
  });

  it("refuses a record without a key where the topic is compacted by key, and appends nothing", async () => {
    bench = await createBrokerBench(imageOf([{ name: "t", partitions: 1, settings: { "cleanup.policy": "compact" } }]));
    const keyed = create(RecordSchema, {
      keyForm: { case: "keyText", value: "k" },
      valueForm: { case: "text", value: "a" },
    });
    expect(await produce({ partition: 0, records: [keyed] })).toMatchObject({ results: [{ baseOffset: 0n }] });
    const refused = produce({ partition: 0, records: [keyed, text("b")] });
    await expect(refused).rejects.toMatchObject({
      reason: Reason.INVALID_RECORD,
      message: expect.stringContaining("Record 1 ") as string,
      outcome: Outcome.NOT_APPLIED,
    });
    expect(await fetchTexts(0)).toEqual(["a"]);
  });

  it("takes encoded batches as they are, several at once", async () => {
    const both = new Uint8Array([...batch("a", "b"), ...batch("c")]);
    const { results } = await produce({ partition: 1, batches: both });
    expect(results).toMatchObject([{ partition: 1, records: 3, baseOffset: 0n }]);
    expect(await fetchTexts(1)).toEqual(["a", "b", "c"]);
  });

  it("answers acks none at once, before anything is flushed", async () => {
    const release = bench.gated.holdSyncs();
    const { results } = await produce({ partition: 0, records: [text("a")], acks: Acks.NONE });
    expect(results).toMatchObject([{ baseOffset: 0n }]);
    release();
  });

  test.each([Acks.LEADER, Acks.ALL, Acks.UNSPECIFIED])("answers acks %i only when it is flushed", async (acks) => {
    const release = bench.gated.holdSyncs();
    let isAnswered = false;
    const answer = produce({ partition: 0, records: [text("a")], acks }).then(() => {
      isAnswered = true;
    });
    await bench.time.advance(1000);
    expect(isAnswered).toBe(false);
    release();
    await answer;
  });

  it("says that the outcome is unknown, and which offset it has, when the time is over first", async () => {
    const release = bench.gated.holdSyncs();
    const answer = produce({ partition: 0, records: [text("a")], timeoutMs: 100 }).catch((error: unknown) => error);
    await bench.time.advance(100);
    expect(await answer).toMatchObject({
      reason: Reason.DEADLINE_EXCEEDED,
      outcome: Outcome.UNKNOWN,
      fields: { baseOffset: 0n, topic: "t", partition: 0 },
    });
    release();
  });

  it("sends records with one key to one partition, and others to one that it leads", async () => {
    const keyed = create(RecordSchema, { keyForm: { case: "keyText", value: "k2" } });
    const { results } = await produce({ records: [keyed, text("a"), keyed] });
    expect(results.reduce((sum, result) => sum + (result.records ?? 0), 0)).toBe(3);
    expect(results.every((result) => result.partition !== 2)).toBe(true);
  });

  it("reports a partition that failed beside those that did not", async () => {
    const records = Array.from({ length: 20 }, (_, index) =>
      create(RecordSchema, { keyForm: { case: "keyText", value: `key ${index}` } }),
    );
    const { results } = await produce({ records });
    expect(results.find((result) => result.partition === 2)).toMatchObject({ error: { reason: Reason.NOT_LEADER } });
    expect(results.filter((result) => result.baseOffset !== undefined).length).toBe(2);
  });
});

describe("produce refuses before it appends", () => {
  const crc = 20;
  test.each<[string, MessageInitShape<typeof ProduceRequestSchema>, Reason, RegExp]>([
    ["no topic", { topic: "" }, Reason.INVALID_ARGUMENT, /name the topic/],
    ["an unknown topic", { topic: "nope", partition: 0, records: [text("a")] }, Reason.UNKNOWN_TOPIC, /CreateTopic/],
    ["another topic id", { topicId: "x", partition: 0, records: [text("a")] }, Reason.UNKNOWN_TOPIC_ID, /made again/],
    ["a partition out of range", { partition: 9, records: [text("a")] }, Reason.UNKNOWN_PARTITION, /0 to 2, and no 9/],
    ["nothing to append", { partition: 0 }, Reason.INVALID_ARGUMENT, /records/],
    ["both forms", { partition: 0, records: [text("a")], batches: batch("a") }, Reason.INVALID_ARGUMENT, /one of them/],
    ["batches without a partition", { batches: batch("a") }, Reason.INVALID_ARGUMENT, /partition/],
    [
      "what is too large",
      { partition: 0, records: [text("x".repeat(70_000))] },
      Reason.MESSAGE_TOO_LARGE,
      /max.message.bytes = 65536/,
    ],
    ["a wrong checksum", { partition: 0, batches: changed(batch("a"), crc, 1) }, Reason.CORRUPT_BATCH, /checksum/],
    ["another magic", { partition: 0, batches: changed(batch("a"), 16, 1) }, Reason.CORRUPT_BATCH, /version 2/],
    [
      "half a batch",
      { partition: 0, batches: batch("abc").subarray(0, 65) },
      Reason.CORRUPT_BATCH,
      /61 bytes|65 of them/,
    ],
    [
      "what its codec did not write",
      { partition: 0, batches: resealed(batch("abc"), 22, 1) },
      Reason.CORRUPT_BATCH,
      /not what its codec writes/,
    ],
    [
      "a record that is none",
      { partition: 0, batches: resealed(batch("abc"), 61, 3) },
      Reason.CORRUPT_BATCH,
      /cannot be read/,
    ],
    ["bytes that are no batch", { partition: 0, batches: textToBytes("hello") }, Reason.CORRUPT_BATCH, /5 bytes/],
    [
      "a codec that does not exist",
      { partition: 0, codec: 9 as Codec, records: [text("a")] },
      Reason.UNSUPPORTED_CODEC,
      /there are/,
    ],
  ])("%s", async (_, request, reason, message) => {
    const error = await produce(request).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(TidemarkError);
    if (!(error instanceof TidemarkError)) return;
    expect([reasonName(error.reason), error.outcome]).toEqual([reasonName(reason), Outcome.NOT_APPLIED]);
    expect(error.message).toMatch(message);
    expect(bench.table.led().map((partition) => partition.log.logEndOffset)).toEqual([0n, 0n]);
  });

  it("names the leader where another broker leads", async () => {
    const error = await produce({ partition: 2, records: [text("a")] }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      reason: Reason.NOT_LEADER,
      retriable: true,
      fields: { leader: { broker: 2, endpoint: "127.0.0.1:4662", leaderEpoch: 3 } },
    });
  });

  it("says that the disk is full, and appends again when there is room", async () => {
    const free = bench.gated.fill();
    const error = await produce({ partition: 0, records: [text("x".repeat(5000))] }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ reason: Reason.DISK_FULL, outcome: Outcome.NOT_APPLIED });
    free();
    await produce({ partition: 0, records: [text("a")] });
    expect(await fetchTexts(0)).toEqual(["a"]);
  });
});
