import { create } from "@bufbuild/protobuf";
import { encodeRecords } from "@tidemark/format";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import {
  type Acks,
  type ProduceStreamRequest,
  ProduceStreamRequestSchema,
  type ProduceStreamResult,
  RecordSchema,
} from "@tidemark/proto/log/v1";
import { portableCrc32c } from "@tidemark/record";
import { reasonName } from "@tidemark/rpc";
import { beforeEach, describe, expect, it } from "vitest";
import { type BrokerBench, callContext, createBrokerBench, imageOf } from "../testing/broker-bench.ts";

let bench: BrokerBench;

beforeEach(async () => {
  bench = await createBrokerBench(imageOf([{ name: "t", partitions: 2 }]));
});

function message(sequence: number, partition = 0, bytes = 10): ProduceStreamRequest {
  const record = create(RecordSchema, { valueForm: { case: "text", value: "x".repeat(bytes) } });
  const encoded = encodeRecords([record], { nowMs: 1, crc32c: portableCrc32c });
  if (encoded.kind !== "ok") throw new Error(encoded.message);
  return create(ProduceStreamRequestSchema, {
    sequence: BigInt(sequence),
    topic: "t",
    partition,
    batches: encoded.batch,
  });
}

/** A stream as the server sees it, which notes what is done with it. */
function openStream(canWrite: () => boolean = () => true) {
  const answers: ProduceStreamResult[][] = [];
  const calls: string[] = [];
  const listener = bench.produceStream(
    {
      bytesQueued: () => 0,
      write(answer) {
        answers.push((answer.results ?? []) as ProduceStreamResult[]);
        return canWrite();
      },
      pause: () => calls.push("pause"),
      resume: () => calls.push("resume"),
      end: (error) => calls.push(error === undefined ? "end" : `end ${reasonName(error.reason)}`),
    },
    callContext(),
  );
  return { answers, calls, listener };
}

describe("a produce stream", () => {
  it("settles many messages with one answer, with offsets in the order of the stream", async () => {
    const { answers, listener } = openStream();
    const release = bench.gated.holdSyncs();
    for (let sequence = 0; sequence < 10; sequence++) listener.onMessage(message(sequence));
    release();
    await bench.time.advance(1);
    const settled = answers.flat();
    expect(settled.map((result) => [result.sequence, result.baseOffset])).toEqual(
      Array.from({ length: 10 }, (_, index) => [BigInt(index), BigInt(index)]),
    );
    expect(answers.length).toBeLessThan(4);
  });

  it("goes on after a message that failed", async () => {
    const { answers, listener } = openStream();
    listener.onMessage(message(0));
    listener.onMessage(message(1, 9));
    listener.onMessage(message(2));
    await bench.time.advance(1);
    const bySequence = answers.flat().sort((a, b) => Number(a.sequence - b.sequence));
    expect(bySequence.map((result) => result.error?.reason)).toEqual([undefined, Reason.UNKNOWN_PARTITION, undefined]);
    expect(bySequence.map((result) => result.baseOffset)).toEqual([0n, undefined, 1n]);
  });

  it("refuses acks that are not known, and takes them for none that are", async () => {
    const { answers, listener } = openStream();
    listener.onMessage({ ...message(0), acks: 99 as Acks });
    listener.onMessage(message(1));
    await bench.time.advance(1);
    const [refused, stored] = answers.flat().sort((a, b) => Number(a.sequence - b.sequence));
    expect(refused?.error).toMatchObject({ reason: Reason.INVALID_ARGUMENT, outcome: Outcome.NOT_APPLIED });
    expect(refused?.message).toContain("ACKS_ALL = 3");
    expect(stored?.baseOffset).toBe(0n);
  });

  it("ends when everything is answered, and not before", async () => {
    const { calls, listener } = openStream();
    const release = bench.gated.holdSyncs();
    listener.onMessage(message(0));
    listener.onEnd?.();
    await bench.time.advance(5);
    expect(calls).not.toContain("end");
    release();
    await bench.time.advance(5);
    expect(calls).toEqual(["end"]);
  });

  it("settles what is in flight before it ends with a broker that stops, and takes nothing more", async () => {
    const { answers, calls, listener } = openStream();
    const release = bench.gated.holdSyncs();
    listener.onMessage(message(0));
    listener.onStop?.();
    listener.onMessage(message(1));
    await bench.time.advance(5);
    expect(calls).toEqual([]);
    release();
    await bench.time.advance(5);
    const settled = answers.flat().sort((a, b) => Number(a.sequence - b.sequence));
    expect(settled.map(({ baseOffset, error }) => [baseOffset, error?.reason, error?.outcome])).toEqual([
      [0n, undefined, undefined],
      [undefined, Reason.SHUTTING_DOWN, Outcome.NOT_APPLIED],
    ]);
    expect(calls).toEqual(["end REASON_SHUTTING_DOWN"]);
    expect(bench.table.led()[0]?.log.logEndOffset).toBe(1n);
  });

  it("holds the producer back while too much waits for its acks", async () => {
    const { calls, listener } = openStream();
    const release = bench.gated.holdSyncs();
    for (let sequence = 0; sequence < 300; sequence++) listener.onMessage(message(sequence, sequence % 2, 60_000));
    expect(calls).toEqual(["pause"]);
    release();
    for (let turn = 0; turn < 200 && calls.length < 2; turn++) await bench.time.advance(1);
    expect(calls).toEqual(["pause", "resume"]);
  });

  it("holds the producer back too where many small messages wait, which cost more than their bytes", async () => {
    const { calls, listener } = openStream();
    const release = bench.gated.holdSyncs();
    for (let sequence = 0; sequence < 4200; sequence++) listener.onMessage(message(sequence, sequence % 2));
    expect(calls).toEqual(["pause"]);
    release();
    for (let turn = 0; turn < 200 && calls.length < 2; turn++) await bench.time.advance(1);
    expect(calls).toEqual(["pause", "resume"]);
  });

  it("refuses what is more than all producers may have waiting, and takes it when the others have their answers", async () => {
    bench = await createBrokerBench(imageOf([{ name: "t", partitions: 2 }]), { unansweredBytesMax: 100_000 });
    const [one, other] = [openStream(), openStream()];
    const release = bench.gated.holdSyncs();
    one.listener.onMessage(message(0, 0, 60_000));
    other.listener.onMessage(message(0, 1, 60_000));
    await bench.time.advance(1);
    expect(other.answers.flat()).toMatchObject([
      { sequence: 0n, error: { reason: Reason.RESOURCE_EXHAUSTED, outcome: Outcome.NOT_APPLIED } },
    ]);
    release();
    await bench.time.advance(5);
    expect(one.answers.flat()).toMatchObject([{ sequence: 0n, baseOffset: 0n }]);
    other.listener.onMessage(message(1, 1, 60_000));
    await bench.time.advance(5);
    expect(other.answers.flat().at(-1)).toMatchObject({ sequence: 1n, baseOffset: 0n });
  });

  it("writes no answer while the caller does not read, and all of them afterwards", async () => {
    const { answers, listener } = openStream(() => false);
    listener.onMessage(message(0));
    await bench.time.advance(1);
    listener.onMessage(message(1));
    await bench.time.advance(1);
    expect(answers.flat().length).toBe(1);
    listener.onDrain?.();
    await bench.time.advance(1);
    expect(answers.flat().length).toBe(2);
  });
});
