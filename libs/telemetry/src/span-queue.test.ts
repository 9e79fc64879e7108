import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { emptyResource } from "@opentelemetry/resources";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { expect, test } from "vitest";
import { isolatedProviders } from "./providers.ts";
import { createSpanQueue, type LossReason } from "./span-queue.ts";
import { createTracer } from "./tracer.ts";

function queueTo(answer: (done: (result: ExportResult) => void) => void) {
  const exported: number[] = [];
  const lost: [LossReason, number][] = [];
  const processor = createSpanQueue({
    exporter: {
      export: (spans: ReadableSpan[], done) => {
        exported.push(spans.length);
        answer(done);
      },
      shutdown: async () => {},
    },
    limits: { maxQueueSize: 8, maxExportBatchSize: 4, scheduledDelayMillis: 60_000, exportTimeoutMillis: 60_000 },
    onLost: (reason, spans) => lost.push([reason, spans]),
  });
  const tracer = createTracer({
    clock: createManualTime().clock,
    random: createSeededRandom(1),
    sampling: { followsParent: true, ratio: 1 },
    providers: isolatedProviders(emptyResource()),
    processor,
  });
  const record = (count: number) => {
    for (let span = 0; span < count; span++) tracer.record({ name: "append", parent: undefined });
  };
  return { processor, exported, lost, record };
}

test("a collector that never answers costs the spans beyond the queue, each of them counted, and no memory", () => {
  const { exported, lost, record } = queueTo(() => {});
  record(100);
  // Four are on their way, eight wait.
  expect(exported).toEqual([4]);
  expect(lost).toHaveLength(100 - 4 - 8);
  expect(lost).toContainEqual(["queue_full", 1]);
});

test("a queue that was emptied takes spans again", async () => {
  let answer: (result: ExportResult) => void = () => {};
  const { processor, lost, record } = queueTo((done) => {
    answer = done;
  });
  record(12);
  expect(lost).toEqual([]);
  const flushed = processor.forceFlush();
  answer({ code: ExportResultCode.SUCCESS });
  record(8);
  expect(lost).toEqual([]);
  record(1);
  expect(lost).toEqual([["queue_full", 1]]);
  await Promise.race([flushed, Promise.resolve()]);
});

test("an export that fails is counted with all its spans", async () => {
  const { processor, lost, record } = queueTo((done) => done({ code: ExportResultCode.FAILED }));
  record(3);
  await processor.shutdown().catch(() => undefined);
  expect(lost).toEqual([["export_failed", 3]]);
});

test("an export that succeeds loses nothing, also the last spans at the end", async () => {
  const { processor, exported, lost, record } = queueTo((done) => done({ code: ExportResultCode.SUCCESS }));
  record(3);
  await processor.shutdown();
  expect(exported).toEqual([3]);
  expect(lost).toEqual([]);
});
