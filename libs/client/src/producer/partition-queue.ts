import { crc32c } from "@tidemark/compression";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import type { Codec, ProducedRecord } from "@tidemark/record";
import { TidemarkError, withOutcome } from "@tidemark/rpc";
import { delay, type Runtime } from "@tidemark/runtime";
import { backoffMs } from "../backoff.ts";
import { type OpenBatch, openBatch } from "./open-batch.ts";
import type { RecordOutcome, Settle } from "./outcome.ts";

/** Sends one encoded batch and resolves with its base offset, or fails with a TidemarkError. */
export type SendBatch = (batch: Uint8Array, options: SendOptions) => Promise<bigint | undefined>;

export interface SendOptions {
  readonly timeoutMs: number;
  /** Aborted when the producer is closed without waiting. */
  readonly signal: AbortSignal;
}

export interface PartitionQueueOptions {
  readonly partition: number;
  readonly runtime: Runtime;
  readonly codec: Codec | undefined;
  readonly send: SendBatch;
  readonly batchBytesMax: number;
  readonly lingerMs: number;
  readonly deliveryTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** A batch left the queue: settled, with the bytes it had before compression. */
  readonly onSettled: (bytes: number) => void;
}

/**
 * The batches of one partition, in their order. One is on its way at a time: a batch that has to be sent again is sent
 * before any later one, so a retry never changes the order. What comes meanwhile is collected, so batches grow with the
 * load.
 */
export interface PartitionQueue {
  /** Takes the record in. Returns the bytes that it added. */
  add(record: ProducedRecord, settle: Settle): number;
  /** Sends what is there without waiting for more. */
  hurry(): void;
  /** Settles what has not been settled, without sending more. */
  abandon(error: TidemarkError): void;
}

export function createPartitionQueue(options: PartitionQueueOptions): PartitionQueue {
  const { runtime, partition } = options;
  const waiting: OpenBatch[] = [];
  const abort = new AbortController();
  let sending = false;
  let lingering: (() => void) | undefined;

  const settleAll = (batch: OpenBatch, outcomeOf: (index: number) => RecordOutcome) => {
    batch.settles.forEach((settle, index) => settle(outcomeOf(index)));
    options.onSettled(batch.builder.sizeInBytes());
  };

  const sendNext = () => {
    lingering?.();
    lingering = undefined;
    const batch = waiting.shift();
    if (batch === undefined || sending) return;
    sending = true;
    deliver(batch, options, abort.signal).then((outcomeOf) => {
      settleAll(batch, outcomeOf);
      sending = false;
      if (waiting.length > 0) sendNext();
    }, reportDefect);
  };

  return {
    add(record, settle) {
      let batch = waiting.at(-1);
      const before = batch?.builder.sizeInBytes() ?? 0;
      if (batch === undefined || !batch.hasRoomFor(record)) {
        batch = openBatch(runtime.clock.monotonicMs(), options.batchBytesMax);
        waiting.push(batch);
        batch.add(record, settle);
        if (!sending && waiting.length > 1) sendNext();
        else if (!sending) lingering ??= runtime.scheduler.after(options.lingerMs, sendNext);
        return batch.builder.sizeInBytes();
      }
      batch.add(record, settle);
      return batch.builder.sizeInBytes() - before;
    },
    hurry() {
      if (!sending && waiting.length > 0) sendNext();
    },
    abandon(error) {
      lingering?.();
      abort.abort(error);
      for (const batch of waiting.splice(0)) settleAll(batch, () => ({ kind: "notApplied", error }));
    },
  };

  function reportDefect(error: unknown): void {
    throw error instanceof Error ? error : new Error("A batch could not be settled", { cause: error });
  }

  async function deliver(
    batch: OpenBatch,
    { codec, send, requestTimeoutMs, deliveryTimeoutMs }: PartitionQueueOptions,
    signal: AbortSignal,
  ): Promise<(index: number) => RecordOutcome> {
    const encoded = batch.builder.build({ crc32c, ...(codec === undefined ? {} : { codec }) });
    const deadline = batch.firstAt + deliveryTimeoutMs;
    let isUnknown = false;
    for (let attempt = 1; ; attempt++) {
      try {
        const timeoutMs = Math.max(1, Math.min(requestTimeoutMs, deadline - runtime.clock.monotonicMs()));
        const base = await send(encoded, { timeoutMs, signal });
        return (index) => ({
          kind: "acknowledged",
          partition,
          offset: base === undefined ? undefined : base + BigInt(index),
        });
      } catch (caught) {
        const error = asTidemarkError(caught);
        isUnknown ||= error.outcome !== Outcome.NOT_APPLIED;
        const again = error.retriable || error.outcome !== Outcome.NOT_APPLIED;
        const waitMs = backoffMs(attempt, runtime.random);
        const isLate = runtime.clock.monotonicMs() + waitMs >= deadline;
        if (!again || isLate || signal.aborted || !(await waited(waitMs, signal))) return failed(error, isUnknown);
      }
    }
  }

  async function waited(waitMs: number, signal: AbortSignal): Promise<boolean> {
    try {
      await delay(runtime.scheduler, waitMs, signal);
      return true;
    } catch {
      return false;
    }
  }
}

function failed(error: TidemarkError, isUnknown: boolean): (index: number) => RecordOutcome {
  const outcome: RecordOutcome = isUnknown
    ? { kind: "unknown", error: withOutcome(error, Outcome.UNKNOWN) }
    : { kind: "notApplied", error };
  return () => outcome;
}

function asTidemarkError(error: unknown): TidemarkError {
  if (error instanceof TidemarkError) return error;
  return new TidemarkError({
    reason: Reason.INTERNAL,
    message: "The batch could not be sent",
    outcome: Outcome.UNKNOWN,
    retriable: false,
    cause: error,
  });
}
