import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Reason } from "@tidemark/proto/common/v1";
import {
  type ProduceStreamRequest,
  ProduceStreamRequestSchema,
  type ProduceStreamResponseSchema,
  type ProduceStreamResult,
  ProduceStreamResultSchema,
} from "@tidemark/proto/log/v1";
import type { Codecs } from "@tidemark/record";
import {
  type ByteBudget,
  type CallContext,
  createUnansweredMessages,
  lookForUnknownEnums,
  type RawListener,
  type RawStream,
  TidemarkError,
  toErrorDetail,
} from "@tidemark/rpc";
import type { Scheduler } from "@tidemark/runtime";
import { invalidArgument } from "../errors.ts";
import type { ProduceOutcome } from "../partition/partition.ts";
import type { PartitionLookup } from "../table/partition-table.ts";
import type { Appender } from "./append.ts";
import { checkBatches } from "./check-batches.ts";
import type { ProduceTracer } from "./produce-trace.ts";

/** Of a message of the stream: acks that a caller with a newer proto may ask for. */
const unknownEnumIn = lookForUnknownEnums(ProduceStreamRequestSchema);

export interface ProduceStreamOptions {
  readonly table: PartitionLookup;
  readonly appender: Appender;
  readonly tracer: ProduceTracer;
  readonly codecs: Codecs;
  /** `decompression.ratio.max`. Absent: as much as readers take. */
  readonly decompressionRatioMax?: number | undefined;
  readonly scheduler: Scheduler;
  /** What the messages of all streams may cost that are not answered. */
  readonly unansweredBudget: ByteBudget;
}

/** Bytes of a stream's messages that may be appended and not answered; above it the producer is held back. */
const unansweredBytesMax = 16 * 2 ** 20;
/** How long an answer may take where a message does not say, in milliseconds. */
const timeoutDefaultMs = 30_000;

/**
 * The produce stream in the raw form: a message is appended as it arrives, so the batches of a partition keep the order
 * of the stream, and one answer settles all messages that were settled since the last one. A broker that stops takes no
 * further message, and ends the stream when those in flight are settled (P12).
 */
export function createProduceStream(options: ProduceStreamOptions) {
  return (
    stream: RawStream<MessageInitShape<typeof ProduceStreamResponseSchema>>,
    context: CallContext,
  ): RawListener<ProduceStreamRequest> => {
    let outbox: ProduceStreamResult[] = [];
    let isScheduled = false;
    let canWrite = true;
    let messages = 0;
    let hasEnded = false;
    let isStopping = false;
    const unanswered = createUnansweredMessages({
      stream,
      bytesMax: unansweredBytesMax,
      budget: options.unansweredBudget,
    });

    const send = () => {
      isScheduled = false;
      if (outbox.length > 0 && canWrite) {
        const results = outbox;
        outbox = [];
        canWrite = stream.write({ results });
      }
      if (messages > 0 || outbox.length > 0) return;
      // What was not read any more was not applied; everything else has its answer.
      if (isStopping) stream.end(shuttingDown());
      else if (hasEnded) stream.end();
    };

    const schedule = () => {
      if (isScheduled) return;
      isScheduled = true;
      options.scheduler.afterInput(send);
    };

    const settle = (request: ProduceStreamRequest, outcome: ProduceOutcome) => {
      messages--;
      outbox.push(toResult(request.sequence, outcome));
      schedule();
    };

    return {
      onMessage(request) {
        messages++;
        const bytes = request.batches.length;
        const error = isStopping ? shuttingDown() : unanswered.take(bytes);
        if (error !== undefined) {
          settle(request, { kind: "failed", error });
          return;
        }
        appendMessage(request, context, (outcome) => {
          unanswered.give(bytes);
          settle(request, outcome);
        });
      },
      onStop() {
        isStopping = true;
        schedule();
      },
      onEnd() {
        hasEnded = true;
        schedule();
      },
      onDrain() {
        canWrite = true;
        schedule();
      },
      onClose() {
        outbox = [];
      },
    };
  };

  function appendMessage(
    request: ProduceStreamRequest,
    context: CallContext,
    settle: (outcome: ProduceOutcome) => void,
  ): void {
    const { topic, traceparent } = request;
    const caller = traceparent === "" ? context : { traceparent, tracestate: undefined };
    try {
      const problem = unknownEnumIn?.(request);
      if (problem !== undefined) throw invalidArgument(problem);
      if (request.batches.length === 0) throw invalidArgument("batches is empty: a message carries encoded batches");
      const partition = options.table.find(request);
      const place = { topic, partition: request.partition };
      const batches = checkBatches(request.batches, place, {
        settings: partition.settings,
        codecs: options.codecs,
        acks: request.acks,
        ratioMax: options.decompressionRatioMax,
      });
      const timeoutMs = request.timeoutMs === 0 ? timeoutDefaultMs : request.timeoutMs;
      const traced = options.tracer.begin(caller);
      const { acks } = request;
      options.appender.append({ partition, batches, acks, timeoutMs, isPunctual: false, caller, traced }, settle);
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      options.tracer.fail(caller, { topic, partition: request.partition, error });
      settle({ kind: "failed", error });
    }
  }
}

function shuttingDown(): TidemarkError {
  return new TidemarkError({ reason: Reason.SHUTTING_DOWN, message: "The broker is stopping: nothing was appended" });
}

function toResult(sequence: bigint, outcome: ProduceOutcome): ProduceStreamResult {
  if (outcome.kind === "failed") {
    const { error } = outcome;
    return create(ProduceStreamResultSchema, { sequence, error: toErrorDetail(error), message: error.message });
  }
  const { baseOffset, leaderEpoch } = outcome;
  return create(ProduceStreamResultSchema, { sequence, baseOffset, leaderEpoch });
}
