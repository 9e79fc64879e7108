import { create } from "@bufbuild/protobuf";
import {
  type FetchedPartition,
  type FetchPartition,
  FetchPartitionSchema,
  type FetchRequest,
  FetchRequestSchema,
  type FetchResponse,
  FetchResponseSchema,
  Format,
} from "@tidemark/proto/log/v1";
import type { Codecs } from "@tidemark/record";
import { type CallContext, TidemarkError } from "@tidemark/rpc";
import type { Clock, Scheduler } from "@tidemark/runtime";
import { type TraceContext, traceIdTrailer } from "@tidemark/telemetry";
import type { BrokerMetrics } from "../metrics/broker-metrics.ts";
import type { PartitionLookup } from "../table/partition-table.ts";
import { resolveTarget } from "./fetch-target.ts";
import type { FetchTracer, FinishedFetch } from "./fetch-trace.ts";
import { checkNamed } from "./named-partitions.ts";
import { type ReadLimits, readPartitions } from "./read-partitions.ts";
import { waitForData } from "./wait-for-data.ts";

export interface FetchOptions {
  readonly table: PartitionLookup;
  readonly codecs: Codecs;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly tracer: FetchTracer;
  readonly metrics: Pick<BrokerMetrics, "fetched">;
  /** When the controller was last heard, on the monotonic clock. */
  readonly controllerHeardMs: () => number;
}

/** What a fetch is bounded by where it does not say. Unary answers fit what stubs of every language take. */
const defaults = { bytes: 2 ** 20, peopleRecords: 100, peopleBytesMax: 3.5 * 2 ** 20 } as const;
/**
 * Bytes of one answer at most, whatever is asked for: what a message takes by default, less what stands around them. A
 * first batch that is larger is handed out all the same.
 */
export const answerBytesMax = 8 * 2 ** 20 - 64 * 1024;
/** How long the controller may take to confirm a leader where the call has no deadline, in milliseconds. */
const confirmTimeoutMs = 30_000;

/**
 * The unary fetch, with its long poll. It ends when there are as many bytes as were asked for, when a partition fails,
 * or when its time is over.
 */
export function createFetch(options: FetchOptions) {
  const { table, clock, scheduler } = options;

  return async (request: FetchRequest, context: CallContext): Promise<FetchResponse> => {
    const startMs = clock.monotonicMs();
    const deadlineMs = startMs + (context.timeoutMs() ?? confirmTimeoutMs);
    const asked = askedPartitions(request, context, startMs);
    const targets = await Promise.all(asked.map((each) => resolveTarget(table, request, { asked: each, deadlineMs })));
    const untilMs = startMs + Math.min(request.maxWaitMs, context.timeoutMs() ?? Number.POSITIVE_INFINITY);
    const enoughBytes = Math.max(1, request.minBytes);
    let waitedMs = 0;
    for (;;) {
      const round = await readPartitions(targets, limitsOf(request));
      const isOver = round.bytes >= enoughBytes || clock.monotonicMs() >= untilMs || context.signal.aborted;
      if (isOver || round.failure !== undefined || round.ends.size === 0) {
        const { batches, bytes, partitions, failure: error } = round;
        const recorded = tell(context, { topic: request.topic, startMs, batches, bytes, waitedMs, error });
        if (error !== undefined && targets.length === 1) throw error;
        options.metrics.fetched({ partitions, bytes, ms: clock.monotonicMs() - startMs, trace: recorded });
        return create(FetchResponseSchema, { partitions: [...partitions], next: nextRequest(request, partitions) });
      }
      const reads = [...round.ends].map(([target, end]) => ({
        partition: target.partition,
        // What was read comes again; it is what lies behind it that is waited for.
        request: { ...target.request, offset: end, lastReadEpoch: undefined },
      }));
      const waitsSinceMs = clock.monotonicMs();
      await waitForData(reads, untilMs, { clock, scheduler, signal: context.signal });
      waitedMs += clock.monotonicMs() - waitsSinceMs;
    }
  };

  function askedPartitions(request: FetchRequest, context: CallContext, startMs: number): readonly FetchPartition[] {
    const { topic, partitions } = request;
    try {
      checkNamed(partitions.map(({ partition }) => partition));
      if (partitions.length > 0) return partitions;
      const count = table.partitionCount(topic);
      return Array.from({ length: count }, (_, partition) => create(FetchPartitionSchema, { partition }));
    } catch (error) {
      if (error instanceof TidemarkError) tell(context, { topic, startMs, batches: [], bytes: 0, waitedMs: 0, error });
      throw error;
    }
  }

  /** Says which span it became, to the caller too. */
  function tell(context: CallContext, finished: FinishedFetch): TraceContext | undefined {
    const recorded = options.tracer.finish(context, finished);
    if (recorded !== undefined) context.setTrailer(traceIdTrailer, recorded.traceId);
    return recorded;
  }

  function limitsOf(request: FetchRequest): ReadLimits {
    const people = request.format === Format.BATCHES ? Number.MAX_SAFE_INTEGER : defaults.peopleRecords;
    return {
      bytes: Math.min(request.maxBytes === 0 ? defaults.bytes : request.maxBytes, answerBytesMax),
      records: request.maxRecords === 0 ? people : request.maxRecords,
      format: request.format,
      codecs: options.codecs,
      decodedBytesMax: defaults.peopleBytesMax,
      controllerAgeMs: Math.max(0, Math.round(clock.monotonicMs() - options.controllerHeardMs())),
    };
  }
}

/**
 * The request that goes on from the answer. A partition that failed is asked for again where it was. What got nothing
 * though it has more is named first: a batch above its share is handed out only there.
 */
function nextRequest(request: FetchRequest, fetched: readonly FetchedPartition[]): FetchRequest {
  const asked = new Map(request.partitions.map((each) => [each.partition, each]));
  const gaveWay = ({ error, records, batches, nextOffset, highWatermark }: FetchedPartition) =>
    error === undefined && records.length + batches.length === 0 && nextOffset < highWatermark;
  const ordered = [...fetched.filter(gaveWay), ...fetched.filter((each) => !gaveWay(each))];
  const partitions = ordered.map((each) => {
    if (each.error !== undefined)
      return asked.get(each.partition) ?? create(FetchPartitionSchema, { partition: each.partition });
    return create(FetchPartitionSchema, {
      partition: each.partition,
      start: { case: "offset", value: each.nextOffset },
      leaderEpoch: each.leaderEpoch,
    });
  });
  return create(FetchRequestSchema, { ...request, partitions });
}
