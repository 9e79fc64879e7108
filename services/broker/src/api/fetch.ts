import { create } from "@bufbuild/protobuf";
import { decodeBatches } from "@tidemark/format";
import type { Offset } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import {
  type FetchedPartition,
  FetchedPartitionSchema,
  type FetchPartition,
  FetchPartitionSchema,
  type FetchRequest,
  FetchRequestSchema,
  type FetchResponse,
  FetchResponseSchema,
  Format,
} from "@tidemark/proto/log/v1";
import { type Codecs, type DecodeFailure, explainDecodeFailure } from "@tidemark/record";
import { type CallContext, TidemarkError, toErrorDetail } from "@tidemark/rpc";
import type { Clock, Scheduler } from "@tidemark/runtime";
import { fromLogError } from "../errors.ts";
import type { Partition } from "../partition/partition.ts";
import type { PartitionTable } from "../partition/partition-table.ts";
import { checkFetch, startOffset } from "./fetch-range.ts";
import type { FetchTracer } from "./fetch-trace.ts";
import { waitForData } from "./wait-for-data.ts";

export interface FetchOptions {
  readonly table: PartitionTable;
  readonly codecs: Codecs;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly tracer: FetchTracer;
}

/** What a fetch is bounded by where it does not say. Unary answers fit what stubs of every language take. */
const defaults = { bytes: 2 ** 20, peopleRecords: 100, peopleBytesMax: 3.5 * 2 ** 20 } as const;

/** One partition of a request: where to read, or why not. */
type Target =
  | { readonly kind: "read"; readonly asked: FetchPartition; readonly partition: Partition; readonly offset: bigint }
  | { readonly kind: "failed"; readonly asked: FetchPartition; readonly error: TidemarkError };

interface Limits {
  readonly bytes: number;
  readonly records: number;
}

/** The unary fetch, with its long poll. */
export function createFetch(options: FetchOptions) {
  const { table, clock } = options;

  return async (request: FetchRequest, context: CallContext): Promise<FetchResponse> => {
    const startMs = clock.monotonicMs();
    const targets = askedPartitions(request).map((asked) => resolveTarget(request, asked));
    const [only] = targets;
    if (targets.length === 1 && only?.kind === "failed") throw only.error;
    const readable = targets.flatMap((target) => (target.kind === "read" ? [target.partition] : []));
    const waitMs = Math.min(request.maxWaitMs, context.timeoutMs() ?? Number.POSITIVE_INFINITY);
    const enoughBytes = Math.max(1, request.minBytes);
    for (;;) {
      const read = await readAll(targets, request);
      const restMs = waitMs - (clock.monotonicMs() - startMs);
      const isOver = read.bytes >= enoughBytes || restMs <= 0 || context.signal.aborted || readable.length === 0;
      const hasLeft = readable.some((partition) => !partition.isLed);
      if (isOver || hasLeft) {
        if (read.failure !== undefined && targets.length === 1) throw read.failure;
        options.tracer.finish(context, { topic: request.topic, startMs, batches: read.batches, bytes: read.bytes });
        return create(FetchResponseSchema, {
          partitions: read.partitions,
          next: nextRequest(request, read.partitions),
        });
      }
      await waitForData(readable, restMs, { scheduler: options.scheduler, signal: context.signal });
    }
  };

  function askedPartitions(request: FetchRequest): readonly FetchPartition[] {
    if (request.partitions.length > 0) return request.partitions;
    const count = table.partitionCount(request.topic);
    return Array.from({ length: count }, (_, partition) => create(FetchPartitionSchema, { partition }));
  }

  function resolveTarget(request: FetchRequest, asked: FetchPartition): Target {
    try {
      const partition = table.find({ topic: request.topic, topicId: request.topicId, partition: asked.partition });
      const offset = startOffset(partition, asked.start);
      checkFetch(partition, offset, asked.leaderEpoch);
      return { kind: "read", asked, partition, offset };
    } catch (error) {
      if (error instanceof TidemarkError) return { kind: "failed", asked, error };
      throw error;
    }
  }

  /** Every partition gets its share of what is left, so that none of them starves the later ones. */
  async function readAll(targets: readonly Target[], request: FetchRequest): Promise<AllRead> {
    const all: AllRead = { partitions: [], batches: [], bytes: 0, failure: undefined };
    const limits = limitsOf(request);
    let records = 0;
    for (const [index, target] of targets.entries()) {
      if (target.kind === "failed") {
        all.partitions.push(failedPartition(target.asked.partition, target.error));
        continue;
      }
      const left = targets.length - index;
      const share = {
        bytes: Math.ceil(Math.max(0, limits.bytes - all.bytes) / left),
        records: Math.ceil(Math.max(0, limits.records - records) / left),
      };
      try {
        const read = await readOne(target, share, { format: request.format, isFirst: all.bytes === 0 });
        all.partitions.push(read.fetched);
        if (read.batches.length > 0) all.batches.push(read.batches);
        all.bytes += read.batches.length;
        records += read.fetched.records.length;
      } catch (error) {
        const failure = fromLogError(error, { topic: request.topic, partition: target.asked.partition });
        all.failure = failure;
        all.partitions.push(failedPartition(target.asked.partition, failure));
      }
    }
    return all;
  }

  /** A batch larger than the share is handed out only where nothing else was (L8). */
  async function readOne(
    { partition, offset }: Target & { kind: "read" },
    share: Limits,
    { format, isFirst }: { readonly format: Format; readonly isFirst: boolean },
  ): Promise<{ readonly fetched: FetchedPartition; readonly batches: Uint8Array }> {
    const upTo = partition.highWatermark;
    const mayRead = offset < upTo && share.records > 0 && (share.bytes > 0 || isFirst);
    const read = mayRead
      ? await partition.log.read(offset as Offset, { maxBytes: share.bytes, upTo })
      : { bytes: new Uint8Array(), nextOffset: offset };
    const isTooLarge = read.bytes.length > share.bytes && !isFirst;
    const batches = isTooLarge ? new Uint8Array() : read.bytes;
    const common = {
      partition: partition.index,
      highWatermark: partition.highWatermark,
      logStart: partition.log.logStartOffset,
      leaderEpoch: partition.leaderEpoch,
    };
    if (format === Format.BATCHES) {
      const nextOffset = isTooLarge ? offset : read.nextOffset;
      return { fetched: create(FetchedPartitionSchema, { ...common, batches, nextOffset }), batches };
    }
    const limits = { from: offset, recordsMax: share.records, bytesMax: defaults.peopleBytesMax };
    const decoded = decodeBatches(batches, limits, { format, codecs: options.codecs });
    if (decoded.kind === "failed") throw undecodable(partition, decoded);
    const { records, nextOffset } = decoded;
    return { fetched: create(FetchedPartitionSchema, { ...common, records, nextOffset }), batches };
  }
}

interface AllRead {
  readonly partitions: FetchedPartition[];
  readonly batches: Uint8Array[];
  bytes: number;
  failure: TidemarkError | undefined;
}

function limitsOf(request: FetchRequest): Limits {
  const people = request.format === Format.BATCHES ? Number.MAX_SAFE_INTEGER : defaults.peopleRecords;
  return {
    bytes: request.maxBytes === 0 ? defaults.bytes : request.maxBytes,
    records: request.maxRecords === 0 ? people : request.maxRecords,
  };
}

function failedPartition(partition: number, error: TidemarkError): FetchedPartition {
  return create(FetchedPartitionSchema, { partition, error: toErrorDetail(error), message: error.message });
}

function undecodable(
  partition: Partition,
  failed: { readonly offset: bigint; readonly reason: DecodeFailure },
): TidemarkError {
  const isCodec = failed.reason === "unsupportedCodec";
  return new TidemarkError({
    reason: isCodec ? Reason.UNSUPPORTED_CODEC : Reason.CORRUPT_BATCH,
    message:
      `The batch at offset ${failed.offset} of ${partition.topic}-${partition.index} cannot be decoded here ` +
      `(${explainDecodeFailure(failed.reason)}); with the format BATCHES it is handed out as it is`,
    topic: partition.topic,
    partition: partition.index,
  });
}

/** The request that goes on from the answer. A partition that failed is asked for again where it was. */
function nextRequest(request: FetchRequest, fetched: readonly FetchedPartition[]): FetchRequest {
  const partitions = fetched.map((each) => {
    const asked = request.partitions.find((other) => other.partition === each.partition);
    if (each.error !== undefined) return asked ?? create(FetchPartitionSchema, { partition: each.partition });
    return create(FetchPartitionSchema, {
      partition: each.partition,
      start: { case: "offset", value: each.nextOffset },
      leaderEpoch: each.leaderEpoch,
    });
  });
  return create(FetchRequestSchema, { ...request, partitions });
}
