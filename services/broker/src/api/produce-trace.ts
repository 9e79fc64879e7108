import { Outcome } from "@tidemark/proto/common/v1";
import type { Acks } from "@tidemark/replication";
import { reasonName, type TidemarkError } from "@tidemark/rpc";
import type { Clock } from "@tidemark/runtime";
import {
  attributeNames,
  extractTraceContext,
  injectTraceContext,
  messagingSystem,
  type Span,
  spanNames,
  type TraceContext,
  type Tracer,
} from "@tidemark/telemetry";
import type { CheckedBatches, Partition, ProduceOutcome } from "../partition/partition.ts";
import { type BeginReplicate, createTimeline, type Timeline } from "../partition/timeline.ts";
import { recordWrite } from "../tracing/write-spans.ts";

const produceOperation = { [attributeNames.system]: messagingSystem, [attributeNames.operation]: "produce" } as const;

/** A produce that is recorded: its span, and when its steps happened. */
export interface TracedProduce {
  readonly span: Span;
  readonly startMs: number;
  readonly timeline: Timeline;
}

export interface FinishedProduce {
  readonly partition: Partition;
  readonly batches: CheckedBatches;
  readonly acks: Acks;
  readonly outcome: ProduceOutcome;
}

/** A produce that failed and has no span yet. */
export interface FailedProduce {
  readonly topic: string;
  readonly partition: number;
  readonly error: TidemarkError;
  /** Reading of the monotonic clock. Absent: it was refused at once. */
  readonly startMs?: number;
  /** What was appended. Absent: it was refused before that. */
  readonly appended?: { readonly batches: CheckedBatches; readonly acks: Acks };
}

/**
 * Spans of a produce: broker produce, with append, flush, replicate by follower, high watermark advance and ack below it,
 * each made when all of it is over.
 */
export interface ProduceTracer {
  /** Undefined where the caller is not sampled: then nothing is made. */
  begin(context: TraceCarrier): TracedProduce | undefined;
  finish(traced: TracedProduce, produce: FinishedProduce): void;
  /**
   * Records a failure as a broker produce alone: of a caller that is sampled, and of any other at a limited rate. Says which
   * span it became; undefined where it is not recorded.
   */
  fail(context: TraceCarrier, produce: FailedProduce): TraceContext | undefined;
}

/** What a call brings along of W3C trace context. */
export interface TraceCarrier {
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
}

export function createProduceTracer(tracer: Tracer, clock: Clock): ProduceTracer {
  return {
    begin({ traceparent, tracestate }) {
      if (!tracer.enabled) return undefined;
      const parent = extractTraceContext({ traceparent, tracestate });
      if (!tracer.samples(parent)) return undefined;
      const startMs = clock.monotonicMs();
      const span = tracer.start({ name: spanNames.brokerProduce, kind: "server", parent, startMs });
      return { span, startMs, timeline: createTimeline(startMs, replicateUnder(tracer, span.context)) };
    },
    finish({ span, startMs, timeline }, { partition, batches, acks, outcome }) {
      const endMs = clock.monotonicMs();
      const parent = span.context;
      const error = outcome.kind === "failed" ? reasonName(outcome.error.reason) : undefined;
      span.set({
        ...produceOperation,
        [attributeNames.topic]: partition.topic,
        [attributeNames.partition]: String(partition.index),
        [attributeNames.records]: batches.records,
        [attributeNames.bytes]: batches.bytes.length,
        [attributeNames.leaderEpoch]: partition.leaderEpoch,
        [attributeNames.acks]: acks,
        ...(outcome.kind === "acknowledged" ? { [attributeNames.baseOffset]: outcome.baseOffset } : {}),
      });
      recordSteps(tracer, parent, timeline);
      tracer.record({
        name: spanNames.ack,
        parent,
        startMs,
        endMs,
        attributes: {
          [attributeNames.acks]: acks,
          [attributeNames.waitedMs]: endMs - timeline.appendedMs,
          [attributeNames.replicasCounted]: countFlushed(timeline),
          [attributeNames.outcome]: outcomeName(outcome),
        },
        error,
      });
      span.end({ endMs, error });
    },
    fail({ traceparent, tracestate }, { topic, partition, error, startMs, appended }) {
      if (!tracer.enabled) return undefined;
      const parent = extractTraceContext({ traceparent, tracestate });
      if (!tracer.samples(parent) && !tracer.samplesError()) return undefined;
      const endMs = clock.monotonicMs();
      return tracer.record({
        name: spanNames.brokerProduce,
        kind: "server",
        parent,
        startMs: startMs ?? endMs,
        endMs,
        error: reasonName(error.reason),
        attributes: {
          ...produceOperation,
          [attributeNames.topic]: topic,
          [attributeNames.partition]: String(partition),
          [attributeNames.records]: appended?.batches.records,
          [attributeNames.bytes]: appended?.batches.bytes.length,
          [attributeNames.acks]: appended?.acks,
          [attributeNames.outcome]: outcomeOf(error),
        },
      });
    },
  };
}

/** Begun when a follower is sent the batch, so that what the follower does can hang below it. */
function replicateUnder(tracer: Tracer, parent: TraceContext): BeginReplicate {
  return (follower, startMs) => {
    const attributes = { [attributeNames.follower]: follower };
    const span = tracer.start({ name: spanNames.replicate, parent, startMs, attributes });
    return {
      traceparent: injectTraceContext(span.context).traceparent,
      link: (traceparent) => {
        const fetch = extractTraceContext({ traceparent, tracestate: undefined });
        if (fetch !== undefined) span.link(fetch);
      },
      end: (endMs) => span.end({ endMs }),
    };
  };
}

/** What happened to the batch until its answer. Its ways to followers end by themselves, with acks leader behind that. */
function recordSteps(tracer: Tracer, parent: TraceContext, timeline: Timeline): void {
  const { appendedMs, written, flushed, highWatermark } = timeline;
  recordWrite(tracer, parent, { startMs: appendedMs, written, flushed });
  if (highWatermark === undefined) return;
  tracer.record({
    name: spanNames.highWatermarkAdvance,
    parent,
    startMs: appendedMs,
    endMs: highWatermark.atMs,
    attributes: {
      [attributeNames.highWatermarkFrom]: highWatermark.from,
      [attributeNames.highWatermarkTo]: highWatermark.to,
      [attributeNames.lastReplica]: highWatermark.last,
      [attributeNames.maximalIsr]: highWatermark.maximalIsr,
    },
  });
}

function outcomeName(outcome: ProduceOutcome): string {
  return outcome.kind === "acknowledged" ? "APPLIED" : outcomeOf(outcome.error);
}

function outcomeOf({ outcome }: TidemarkError): string {
  return outcome === Outcome.NOT_APPLIED ? "NOT_APPLIED" : "UNKNOWN";
}

/** Replicas that were seen to have flushed the batch, the leader included. */
function countFlushed({ flushed, replicas }: Timeline): number {
  let count = flushed === undefined ? 0 : 1;
  for (const times of replicas.values()) if (times.flushedMs !== undefined) count++;
  return count;
}
