/**
 * The batches of one partition, in their order. Each is in one of these states:
 *
 * | state   | means                                            | leaves it when                                             |
 * |---------|--------------------------------------------------|------------------------------------------------------------|
 * | waiting | takes records, or waits for its turn             | it is due and there is room: sent                          |
 * | sent    | on its way, its bytes fixed                      | answered: settled, or held                                 |
 * | held    | refused or lost, to be sent again                | nothing is on its way and the pause is over: sent          |
 *
 * While a batch is held nothing later is sent, and what is held goes first and in its order, so a retry never changes
 * the order where one batch is in flight at a time. More than one keeps the order only where the leader knows the
 * producer's sequence: `sequencer` then gives each batch its producer, once, before it is encoded.
 *
 * When the leader cannot go on from the producer's last batch, nothing more is sent until everything on its way is
 * answered. Then a new producer epoch begins: what is left goes on under it, but for what is in doubt. That might stand
 * twice under another epoch, and ends as unknown (R11).
 *
 * A batch that ends certainly not stored, as one too large, leaves a gap in the sequence. No leader stores anything behind
 * it under this producer epoch, so what was sent behind it is not in doubt, whatever became of its answer. What came before
 * it is settled first, as ever; then a new producer epoch begins, and what is left goes on under it.
 */
import type { Span, SpanContext } from "@opentelemetry/api";
import { crc32c } from "@tidemark/compression";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import type { Codec, Codecs, ProducedRecord } from "@tidemark/record";
import { reasonName, TidemarkError, withOutcome } from "@tidemark/rpc";
import type { Cancel, Runtime } from "@tidemark/runtime";
import { backoffMs } from "../backoff.ts";
import { endProduceSpan, isSampled, traceHeader, traceparentOf } from "../trace.ts";
import { asTidemarkError, endOf, expired, judgeAttempt } from "./judge-attempt.ts";
import { addRecord, hasRoomFor, type OpenBatch, openBatch, splitBatch, withTrace } from "./open-batch.ts";
import type { RecordOutcome, Settle } from "./outcome.ts";
import type { Sequencer } from "./sequencer.ts";

/** How the batches of one partition travel. */
export interface BatchSender {
  /** Where a batch would go now. */
  endpoint(): string;
  /** False while too much is on its way there: `pump` is to be called when that has passed. */
  hasRoom(endpoint: string): boolean;
  /** Takes note of what a call there failed with. */
  heed(endpoint: string, error: TidemarkError): void;
  /** Resolves with the base offset, or rejects with a TidemarkError. */
  send(
    endpoint: string,
    batch: Uint8Array,
    options: { readonly timeoutMs: number; readonly traceparent?: string },
  ): Promise<bigint | undefined>;
}

export interface PartitionQueueOptions {
  readonly partition: number;
  readonly runtime: Runtime;
  readonly sender: BatchSender;
  readonly codec: Codec | undefined;
  readonly codecs: Codecs;
  readonly batchBytesMax: number;
  /** 0: a batch goes when nothing of the partition is on its way, and collects while something is. */
  readonly lingerMs: number;
  readonly deliveryTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** Batches that may be on their way at once. 1 unless there is a sequencer. */
  readonly inFlightBatchesMax: number;
  /** Absent: not idempotent. */
  readonly sequencer?: Sequencer | undefined;
  readonly startSpan: () => Span;
  /** A batch left the queue: its records are settled, and the bytes that it took of the buffer are free. */
  readonly onSettled: (batch: { readonly records: number; readonly bytes: number }) => void;
}

export interface PartitionQueue {
  /** Takes the record in. Returns the bytes that it added. `caller`: the span under which it came. */
  add(record: ProducedRecord, settle: Settle, caller: SpanContext | undefined): number;
  /** Sends what can be sent now. */
  pump(): void;
  /** Sends what is there without waiting for more. Resolves when all that was given so far is settled. */
  flush(): Promise<void>;
  /** Settles what has not been settled, without sending more. */
  abandon(error: TidemarkError): void;
}

type Ending =
  | { readonly kind: "acknowledged"; readonly baseOffset: bigint | undefined }
  | { readonly kind: "failed"; readonly error: TidemarkError };

export function createPartitionQueue(options: PartitionQueueOptions): PartitionQueue {
  const { runtime, sender, sequencer } = options;
  const { clock, scheduler, random } = runtime;
  const waiting: OpenBatch[] = [];
  /** Sent or held, in their order. */
  const left: OpenBatch[] = [];
  let inFlight = 0;
  let isHolding = false;
  let holdMs = 0;
  let isAbandoned = false;
  let isPreparing = false;
  /** Whether a sequence of the present identity is left out: nothing new goes under it. */
  let hasGap = false;
  let sentTo = "";
  let stopLingering: Cancel | undefined;
  let stopPausing: Cancel | undefined;
  let identifyFailures = 0;
  let { batchBytesMax } = options;

  const pump = () => {
    while (!isHolding && !isAbandoned && inFlight < options.inFlightBatchesMax) {
      const batch = left.find(({ isSent }) => !isSent) ?? nextWaiting();
      if (batch === undefined) return;
      const endpoint = sender.endpoint();
      if (hasGap && (batch.isBehindGap || batch.producer === undefined)) {
        if (inFlight > 0) return;
        sequencer?.end(false);
        endIdentity();
      }
      if (sequencer?.isReady === false) {
        if (inFlight === 0) prepare(sequencer, endpoint);
        return;
      }
      // What goes another way could overtake what is on its way.
      if ((inFlight > 0 && endpoint !== sentTo) || !sender.hasRoom(endpoint)) return;
      if (batch === waiting[0]) leaveWaiting();
      send(batch, endpoint);
    }
  };

  const prepare = (asked: Sequencer, endpoint: string) => {
    if (isPreparing) return;
    isPreparing = true;
    asked
      .prepare(endpoint)
      .catch((error: unknown) => {
        const failure = asTidemarkError(error);
        sender.heed(endpoint, failure);
        identifyFailures += 1;
        isHolding = true;
        holdMs = backoffMs(identifyFailures, random);
        endWithoutIdentity(failure);
      })
      .then(() => {
        isPreparing = false;
        if (isAbandoned) return;
        if (isHolding) pauseThenSend();
        else {
          identifyFailures = 0;
          pump();
        }
      })
      .catch(reportDefect);
  };

  /** Whoever cannot wait for an identity any longer, or waits for one in vain, is told why there is none. */
  const endWithoutIdentity = (error: TidemarkError) => {
    const nowMs = clock.monotonicMs();
    const isOver = ({ firstAt }: OpenBatch) => !error.retriable || nowMs - firstAt >= options.deliveryTimeoutMs;
    for (const batch of [...left, ...waiting].filter(isOver)) {
      const at = waiting.indexOf(batch);
      if (at !== -1) waiting.splice(at, 1);
      settle(batch, { kind: "failed", error: endOf(error, batch) });
    }
  };

  /** What is left after the end of an identity, once nothing is on its way: sent anew, or in doubt for good. */
  const endIdentity = () => {
    hasGap = false;
    for (const batch of [...left]) {
      if (batch.producer === undefined) continue;
      batch.producer = undefined;
      batch.encoded = undefined;
      batch.isBehindGap = false;
      if (batch.isUnknown) settle(batch, { kind: "failed", error: endOf(batch.failure ?? inDoubt(), batch) });
    }
  };

  const nextWaiting = (): OpenBatch | undefined => {
    const [first, second] = waiting;
    if (first === undefined || second !== undefined || first.isFlushed) return first;
    return first.isDue && (inFlight === 0 || options.lingerMs > 0) ? first : undefined;
  };

  const leaveWaiting = () => {
    const batch = waiting.shift();
    if (batch !== undefined) left.push(batch);
    if (waiting.length > 0) return;
    stopLingering?.();
    stopLingering = undefined;
  };

  const send = (batch: OpenBatch, endpoint: string) => {
    const leftMs = batch.firstAt + options.deliveryTimeoutMs - clock.monotonicMs();
    if (leftMs <= 0) {
      const error = batch.failure ?? expired(options.deliveryTimeoutMs);
      settle(batch, { kind: "failed", error: endOf(error, batch) });
      return;
    }
    inFlight += 1;
    sentTo = endpoint;
    batch.isSent = true;
    const timeoutMs = Math.max(1, Math.min(options.requestTimeoutMs, leftMs));
    const context = batch.span?.spanContext() ?? batch.origin;
    const traceparent = context === undefined ? {} : { traceparent: traceparentOf(context) };
    sender
      .send(endpoint, encodedOf(batch), { timeoutMs, ...traceparent })
      .then(
        (baseOffset) => onAnswer(batch, () => settle(batch, { kind: "acknowledged", baseOffset })),
        (error: unknown) => onAnswer(batch, () => onFailure(batch, asTidemarkError(error))),
      )
      .catch(reportDefect);
  };

  /** Encoded once: what is sent again is the same, byte for byte. */
  const encodedOf = (batch: OpenBatch): Uint8Array => {
    const { codec } = options;
    batch.producer ??= sequencer?.next(batch.settles.length);
    batch.encoded ??= batch.builder.build({
      crc32c,
      ...(codec === undefined ? {} : { codec }),
      ...(batch.producer === undefined ? {} : { producer: batch.producer }),
    });
    return batch.encoded;
  };

  const onAnswer = (batch: OpenBatch, then: () => void) => {
    inFlight -= 1;
    batch.isSent = false;
    if (isAbandoned) return;
    then();
    if (inFlight === 0 && sequencer?.isReady === false) endIdentity();
    if (isHolding && inFlight === 0) pauseThenSend();
    else pump();
  };

  const onFailure = (batch: OpenBatch, error: TidemarkError) => {
    batch.failures += 1;
    batch.failure = error;
    if (error.outcome === Outcome.UNKNOWN && !batch.isBehindGap) batch.isUnknown = true;
    const { failures, isUnknown, firstAt } = batch;
    const isFirst = left[0] === batch;
    const { deliveryTimeoutMs } = options;
    const ageMs = clock.monotonicMs() - firstAt;
    const attempted = { records: batch.settles.length, isFirst, failures, isUnknown, ageMs, deliveryTimeoutMs };
    const verdict = judgeAttempt(error, attempted, random);
    switch (verdict.kind) {
      case "again":
        isHolding = true;
        holdMs = Math.max(holdMs, verdict.waitMs);
        return;
      case "raiseEpoch":
        sequencer?.end(verdict.isFenced);
        isHolding = true;
        holdMs = Math.max(holdMs, verdict.waitMs);
        return;
      case "split":
        // The topic takes less than was thought: later batches begin smaller too.
        batchBytesMax = Math.min(batchBytesMax, Math.ceil(batch.builder.sizeInBytes() / 2));
        left.splice(left.indexOf(batch), 1, ...splitBatch(batch, options.codecs));
        return;
      case "acknowledged":
      case "failed":
        settle(batch, verdict);
    }
  };

  const pauseThenSend = () => {
    stopPausing ??= scheduler.after(holdMs, () => {
      stopPausing = undefined;
      isHolding = false;
      holdMs = 0;
      pump();
    });
  };

  /** A batch with a sequence is certainly not stored, so nothing of what came behind it under its identity is. */
  const leaveGap = (behind: readonly OpenBatch[]) => {
    hasGap = true;
    for (const batch of behind) {
      if (batch.producer === undefined) continue;
      batch.isBehindGap = true;
      batch.isUnknown = false;
    }
  };

  const settle = (batch: OpenBatch, ending: Ending) => {
    const at = left.indexOf(batch);
    if (at !== -1) left.splice(at, 1);
    if (batch.producer !== undefined && ending.kind === "failed" && !batch.isUnknown) leaveGap(left.slice(at));
    if (batch.span !== undefined) {
      const error = ending.kind === "failed" ? reasonName(ending.error.reason) : undefined;
      endProduceSpan(batch.span, { records: batch.settles.length, bytes: batch.builder.sizeInBytes(), error });
    }
    const outcomeOf = outcomes(ending, options.partition);
    batch.settles.forEach((tell, index) => tell(outcomeOf(index)));
    batch.settled.resolve();
    options.onSettled({ records: batch.settles.length, bytes: batch.bufferedBytes });
  };

  /** The batch that takes the record: the last one, or a new one where that is full. One too large has its own. */
  const batchFor = (record: ProducedRecord): OpenBatch => {
    const last = waiting.at(-1);
    if (last !== undefined && !last.isFlushed && hasRoomFor(last, record, batchBytesMax)) return last;
    const batch = openBatch(clock.monotonicMs());
    waiting.push(batch);
    if (waiting.length > 1) pump();
    linger(batch);
    return batch;
  };

  const linger = (batch: OpenBatch) => {
    stopLingering?.();
    const onDue = () => {
      stopLingering = undefined;
      batch.isDue = true;
      pump();
    };
    stopLingering = options.lingerMs > 0 ? scheduler.after(options.lingerMs, onDue) : scheduler.afterInput(onDue);
  };

  return {
    pump,
    add(record, tell, caller) {
      if (caller === undefined) return addRecord(batchFor(record), record, tell);
      if (!isSampled(caller)) {
        const batch = batchFor(record);
        batch.origin ??= caller;
        return addRecord(batch, record, tell);
      }
      // Every trace header has one length, so the room can be known before the batch's span is.
      const batch = batchFor({ ...record, headers: [...record.headers, traceHeader(caller)] });
      return addRecord(batch, withTrace(batch, record, { caller, start: options.startSpan }), tell);
    },
    async flush() {
      const last = waiting.at(-1);
      if (last !== undefined) last.isFlushed = true;
      const given = [...left, ...waiting];
      pump();
      await Promise.all(given.map(({ settled }) => settled.promise));
    },
    abandon(error) {
      isAbandoned = true;
      stopLingering?.();
      stopPausing?.();
      for (const batch of [...left, ...waiting.splice(0)]) {
        const isUnknown = batch.isUnknown || (batch.isSent && !batch.isBehindGap);
        const outcome = isUnknown ? Outcome.UNKNOWN : Outcome.NOT_APPLIED;
        settle(batch, { kind: "failed", error: withOutcome(batch.failure ?? error, outcome) });
      }
    },
  };
}

function outcomes(ending: Ending, partition: number): (index: number) => RecordOutcome {
  if (ending.kind === "acknowledged") {
    const { baseOffset } = ending;
    if (baseOffset === undefined) return () => ({ kind: "acknowledged", partition, offset: undefined });
    return (index) => ({ kind: "acknowledged", partition, offset: baseOffset + BigInt(index) });
  }
  const { error } = ending;
  const outcome: RecordOutcome = { kind: error.outcome === Outcome.NOT_APPLIED ? "notApplied" : "unknown", error };
  return () => outcome;
}

/** For a batch of which an attempt ended without an outcome, and whose producer epoch is over. */
function inDoubt(): TidemarkError {
  return new TidemarkError({
    reason: Reason.UNKNOWN_PRODUCER,
    message: "An attempt to send the batch ended without an outcome, and its producer epoch is over",
    outcome: Outcome.UNKNOWN,
  });
}

/** An error that nobody can answer for ends the process. */
function reportDefect(error: unknown): void {
  throw error instanceof Error ? error : new Error("A batch could not be settled", { cause: error });
}
