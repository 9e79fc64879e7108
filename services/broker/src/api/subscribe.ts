import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createSubscribeCredit, type SubscribeCredit } from "@tidemark/format";
import type { Offset } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import {
  type FetchedPartition,
  FetchPartitionSchema,
  FetchRequestSchema,
  Format,
  type SubscribeRequest,
  type SubscribeResponseSchema,
} from "@tidemark/proto/log/v1";
import { type CallContext, fromErrorDetail, TidemarkError, toErrorDetail } from "@tidemark/rpc";
import { answerBytesMax, type FetchOptions } from "./fetch.ts";
import { type ReadTarget, resolveTarget } from "./fetch-target.ts";
import { checkNamed } from "./named-partitions.ts";
import { type ReadLimits, readPartitions } from "./read-partitions.ts";
import { waitForData } from "./wait-for-data.ts";

type Frame = MessageInitShape<typeof SubscribeResponseSchema>;

/** Bytes of a message, and of its decoded records, where the caller does not say. */
const defaults = { bytes: 256 * 1024, decodedBytesMax: 3.5 * 2 ** 20 } as const;
/** How long a subscription without data waits until it looks again, in milliseconds. */
const lookAgainMs = 30_000;
/** How long the controller may take to confirm a leader, in milliseconds. */
const confirmTimeoutMs = 30_000;

/** One partition that is followed. */
interface Reader {
  readonly target: ReadTarget;
  offset: Offset;
  /** Leader epoch of the last record that the caller has, to be checked once (KIP-320). */
  lastReadEpoch: ReadTarget["request"]["lastReadEpoch"];
  /** Whether the caller was told that it has everything, and nothing came since. */
  isCaughtUp: boolean;
}

/**
 * The subscription to partitions that this broker leads. One message is made when the last one has been taken, so a reader
 * that stops holds no more than what its stream may queue. A partition that fails is told of and left; the stream ends
 * when none is left, with the error of the last one.
 */
export function createSubscribe(options: FetchOptions) {
  const { clock } = options;

  return async function* subscribe(request: SubscribeRequest, context: CallContext): AsyncGenerator<Frame> {
    const { signal } = context;
    const credit = createSubscribeCredit(request);
    const begunMs = clock.monotonicMs();
    const tellFailure = (error: unknown) => {
      if (!(error instanceof TidemarkError)) return;
      const nothing = { batches: [], bytes: 0, waitedMs: 0 };
      options.tracer.finish(context, { topic: request.topic, startMs: begunMs, ...nothing, error });
    };
    const { readers, failed } = await begin(options, request).catch((error: unknown) => {
      tellFailure(error);
      throw error;
    });
    const isOne = readers.length + failed.length === 1;
    let lastError = failed.at(-1)?.error;
    // One tells as much as the next, as of a fetch of several partitions.
    tellFailure(failed[0]?.error);
    if (isOne && lastError !== undefined) throw lastError;
    yield assigned(readers);
    for (const { partition, error } of failed) yield failure(partition, error);

    while (readers.length > 0 && !credit.isSpent()) {
      throwIfStopped(signal);
      const startMs = clock.monotonicMs();
      const targets = readers.map(targetOf);
      const { batches, bytes, partitions, ends, failure } = await readPartitions(
        targets,
        limitsOf(options, request, credit),
      );
      const finished = { topic: request.topic, startMs, batches, bytes, waitedMs: 0, error: failure };
      const trace = options.tracer.finish(context, finished);
      if (bytes > 0) options.metrics.fetched({ partitions, bytes, ms: clock.monotonicMs() - startMs, trace });
      for (const [index, reader] of [...readers.entries()]) {
        const [fetched, target] = [partitions[index], targets[index]];
        if (fetched === undefined || target === undefined) continue;
        if (fetched.error === undefined) {
          yield* handOut(reader, fetched, ends.get(target));
          credit.take(fetched);
          continue;
        }
        const error = fromErrorDetail(fetched.error, fetched.message);
        if (rewind(reader, error)) {
          yield { frame: { case: "truncated", value: { partition: fetched.partition, ...divergenceOf(error) } } };
          continue;
        }
        lastError = error;
        readers.splice(readers.indexOf(reader), 1);
        yield* leave(fetched.partition, error, isOne);
      }
      // Only the first is given a batch above its share: so each has its turn.
      readers.push(...readers.splice(0, 1));
      if (readers.length === 0 || readers.some(({ isCaughtUp }) => !isCaughtUp)) continue;
      await waitForData(readers.map(targetOf), options.clock.monotonicMs() + lookAgainMs, { ...options, signal });
    }
    throwIfStopped(signal);
    if (readers.length === 0 && lastError !== undefined) throw lastError;
  };
}

interface Beginning {
  readonly readers: Reader[];
  readonly failed: readonly { readonly partition: number; readonly error: TidemarkError }[];
}

/** Whoever names no partition follows what is led here; where that is nothing, it is told why. */
async function begin({ table, clock }: FetchOptions, request: SubscribeRequest): Promise<Beginning> {
  const { topic, topicId } = request;
  checkNamed(request.partitions.map(({ partition }) => partition));
  const isAll = request.partitions.length === 0;
  const asked = isAll
    ? Array.from({ length: table.partitionCount(topic) }, (_, partition) => create(FetchPartitionSchema, { partition }))
    : request.partitions;
  const fetch = create(FetchRequestSchema, { topic, topicId });
  const deadlineMs = clock.monotonicMs() + confirmTimeoutMs;
  const targets = await Promise.all(asked.map((each) => resolveTarget(table, fetch, { asked: each, deadlineMs })));
  const readers = targets.flatMap((target): Reader[] => {
    if (target.kind === "failed") return [];
    const { offset, lastReadEpoch } = target.request;
    return [{ target, offset, lastReadEpoch, isCaughtUp: false }];
  });
  const failed = targets.flatMap((target) =>
    target.kind === "failed" ? [{ partition: target.asked.partition, error: target.error }] : [],
  );
  return { readers, failed: isAll && readers.length > 0 ? [] : failed };
}

function* handOut(reader: Reader, fetched: FetchedPartition, end: Offset | undefined): Generator<Frame> {
  reader.lastReadEpoch = undefined;
  if (fetched.records.length > 0 || fetched.batches.length > 0) {
    reader.isCaughtUp = false;
    yield { frame: { case: "data", value: fetched } };
  }
  reader.offset = fetched.nextOffset as Offset;
  if (reader.isCaughtUp || end === undefined || reader.offset < end) return;
  reader.isCaughtUp = true;
  const { partition, highWatermark } = fetched;
  yield { frame: { case: "caughtUp", value: { partition, highWatermark } } };
}

function limitsOf(
  { codecs, clock, controllerHeardMs }: FetchOptions,
  { format, maxBytes }: SubscribeRequest,
  credit: SubscribeCredit,
): ReadLimits {
  const left = credit.left();
  return {
    bytes: Math.min(maxBytes === 0 ? defaults.bytes : maxBytes, answerBytesMax, left.bytes),
    records: format === Format.BATCHES ? Number.MAX_SAFE_INTEGER : left.records,
    format,
    codecs,
    decodedBytesMax: defaults.decodedBytesMax,
    controllerAgeMs: Math.max(0, Math.round(clock.monotonicMs() - controllerHeardMs())),
  };
}

/** Where the caller's records were cut reading goes on at the divergence. False: the error is of another kind. */
function rewind(reader: Reader, { reason, fields }: TidemarkError): boolean {
  if (reason !== Reason.LOG_TRUNCATED || fields.divergence === undefined) return false;
  reader.offset = fields.divergence.offset as Offset;
  reader.lastReadEpoch = undefined;
  reader.isCaughtUp = false;
  return true;
}

function divergenceOf({ fields: { divergence } }: TidemarkError) {
  return divergence === undefined ? {} : { divergence };
}

/** Tells what became of a partition that is left. */
function* leave(partition: number, error: TidemarkError, isOne: boolean): Generator<Frame> {
  const { leader } = error.fields;
  if (leader !== undefined) yield { frame: { case: "leaderChanged", value: { partition, leader } } };
  if (!isOne) yield failure(partition, error);
}

function failure(partition: number, error: TidemarkError): Frame {
  return { frame: { case: "data", value: { partition, error: toErrorDetail(error), message: error.message } } };
}

function assigned(readers: readonly Reader[]): Frame {
  const partitions = readers.map(({ target, offset }) => ({
    partition: target.asked.partition,
    start: { case: "offset" as const, value: offset },
  }));
  return { frame: { case: "assigned", value: { partitions } } };
}

function targetOf({ target, offset, lastReadEpoch }: Reader): ReadTarget {
  return { ...target, request: { ...target.request, offset, lastReadEpoch } };
}

/** A caller that is gone reads no error; one whose broker stops is told so. */
function throwIfStopped(signal: AbortSignal): void {
  if (!signal.aborted) return;
  const reason: unknown = signal.reason;
  throw reason instanceof TidemarkError
    ? reason
    : new TidemarkError({ reason: Reason.CANCELLED, message: "The subscription was cancelled.", cause: reason });
}
