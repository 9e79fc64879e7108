/** What a recorded batch's timeline tells, and that a leader without followers watches it no longer than somebody waits. */
import { create } from "@bufbuild/protobuf";
import { encodeRecords } from "@tidemark/format";
import { Acks as AckLevels, RecordSchema } from "@tidemark/proto/log/v1";
import { portableCrc32c } from "@tidemark/record";
import type { Acks } from "@tidemark/replication";
import { beforeEach, expect, it } from "vitest";
import { checkBatches } from "../api/check-batches.ts";
import { type BrokerBench, createBrokerBench, imageOf } from "../testing/broker-bench.ts";
import { createTimeline } from "./timeline.ts";

let bench: BrokerBench;
beforeEach(async () => {
  bench = await createBrokerBench(imageOf([{ name: "t" }]));
});

/** Appends one record. `timeline`: when its steps happened, as far as they were seen. */
function produce(acks: Acks) {
  const partition = bench.table.find({ topic: "t", topicId: "", partition: 0 });
  const encoded = encodeRecords([create(RecordSchema)], { nowMs: 1, crc32c: portableCrc32c });
  if (encoded.kind !== "ok") throw new Error(encoded.message);
  const rules = { settings: partition.settings, codecs: {}, acks: AckLevels.ALL };
  const batches = checkBatches(encoded.batch, { topic: "t", partition: 0 }, rules);
  const timeline = createTimeline(bench.time.clock.monotonicMs(), () => {
    throw new Error("There is no follower");
  });
  const outcomes: string[] = [];
  const settle = ({ kind }: { readonly kind: string }) => outcomes.push(kind);
  const deadlineMs = Number.POSITIVE_INFINITY;
  return { timeline, outcomes, pending: partition.produce({ batches, acks, deadlineMs, settle, timeline }) };
}

const logOf = () => bench.table.find({ topic: "t", topicId: "", partition: 0 }).log;

it("is watched until its ack", async () => {
  const { timeline, outcomes } = produce("all");
  await expect.poll(() => outcomes).toEqual(["acknowledged"]);
  expect(timeline).toMatchObject({ written: {}, flushed: {}, highWatermark: { from: 0n, to: 1n } });
});

it("is not where nothing is waited for", async () => {
  const { timeline, outcomes } = produce("none");
  expect(outcomes).toEqual(["acknowledged"]);
  await expect.poll(() => logOf().flushedOffset).toBe(1n);
  expect(timeline).toMatchObject({ written: undefined, flushed: undefined, highWatermark: undefined });
});

it("is not where nobody waits any more", async () => {
  const release = bench.gated.holdSyncs();
  const { timeline, outcomes, pending } = produce("all");
  await expect.poll(() => logOf().writtenOffset).toBe(1n);
  pending.abandon();
  release();
  await expect.poll(() => logOf().flushedOffset).toBe(1n);
  expect(outcomes).toEqual([]);
  expect(timeline).toMatchObject({ written: {}, flushed: undefined, highWatermark: undefined });
});
