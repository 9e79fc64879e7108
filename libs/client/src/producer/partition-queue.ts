import type { Span, SpanContext } from "@opentelemetry/api";
import { crc32c } from "@tidemark/compression";
import { Outcome } from "@tidemark/proto/common/v1";
import type { Codec, Codecs, ProducedRecord } from "@tidemark/record";
import { reasonName, type TidemarkError } from "@tidemark/rpc";
import { endProduceSpan, traceHeader, traceparentOf } from "../trace.ts";
import { type DeliverOptions, type Delivery, deliver } from "./deliver.ts";
import { addRecord, hasRoomFor, type OpenBatch, openBatch, splitBatch, withTrace } from "./open-batch.ts";
import type { RecordOutcome, Settle } from "./outcome.ts";

export interface PartitionQueueOptions extends DeliverOptions {
  readonly partition: number;
  readonly codec: Codec | undefined;
  readonly codecs: Codecs;
  readonly batchBytesMax: number;
  readonly lingerMs: number;
  readonly startSpan: () => Span;
  /** A batch left the queue: settled, with the bytes that it took of the buffer. */
  readonly onSettled: (bytes: number) => void;
}

/**
 * The batches of one partition, in their order. One is on its way at a time: a batch that has to be sent again is sent
 * before any later one, so a retry never changes the order. (More than one at a time keeps the order only where the
 * leader knows the producer's sequence.) What comes meanwhile is collected, so batches grow with the load.
 */
export interface PartitionQueue {
  /** Takes the record in. Returns the bytes that it added. `caller`: the sampled span under which it came. */
  add(record: ProducedRecord, settle: Settle, caller: SpanContext | undefined): number;
  /** Sends what is there without waiting for more. Resolves when all that was given so far is settled. */
  flush(): Promise<void>;
  /** Settles what has not been settled, without sending more. */
  abandon(error: TidemarkError): void;
}

export function createPartitionQueue(options: PartitionQueueOptions): PartitionQueue {
  const { runtime } = options;
  const waiting: OpenBatch[] = [];
  const abort = new AbortController();
  let sending: OpenBatch | undefined;
  let stopLingering: (() => void) | undefined;
  let { batchBytesMax } = options;

  const sendNext = () => {
    if (sending !== undefined) return;
    stopLingering?.();
    stopLingering = undefined;
    const batch = waiting.shift();
    if (batch === undefined) return;
    sending = batch;
    deliverOne(batch).then((delivery) => {
      sending = undefined;
      if (delivery.kind === "tooLarge") split(batch);
      else settle(batch, delivery);
      if (waiting.length > 0) sendNext();
    }, reportDefect);
  };

  /** The topic takes less than was thought: the same records go again in smaller batches, and so do later ones. */
  const split = (batch: OpenBatch) => {
    batchBytesMax = Math.min(batchBytesMax, Math.ceil(batch.builder.sizeInBytes() / 2));
    waiting.unshift(...splitBatch(batch, options.codecs));
  };

  const deliverOne = async (batch: OpenBatch): Promise<Delivery> => {
    const { codec } = options;
    const encoded = batch.builder.build({ crc32c, ...(codec === undefined ? {} : { codec }) });
    const { signal } = abort;
    const call =
      batch.span === undefined ? { signal } : { signal, traceparent: traceparentOf(batch.span.spanContext()) };
    return deliver(batch, encoded, options, call);
  };

  const settle = (batch: OpenBatch, delivery: Exclude<Delivery, { readonly kind: "tooLarge" }>) => {
    if (batch.span !== undefined) {
      const error = delivery.kind === "failed" ? reasonName(delivery.error.reason) : undefined;
      endProduceSpan(batch.span, { records: batch.settles.length, bytes: batch.builder.sizeInBytes(), error });
    }
    const outcomeOf = outcomes(delivery, options.partition);
    batch.settles.forEach((tell, index) => tell(outcomeOf(index)));
    batch.settled.resolve();
    options.onSettled(batch.bufferedBytes);
  };

  /** The batch that takes the record: the last one, or a new one where that is full. One too large has its own. */
  const batchFor = (record: ProducedRecord): OpenBatch => {
    const last = waiting.at(-1);
    if (last !== undefined && hasRoomFor(last, record, batchBytesMax)) return last;
    const batch = openBatch(runtime.clock.monotonicMs());
    waiting.push(batch);
    if (waiting.length > 1) sendNext();
    else if (sending === undefined) stopLingering ??= runtime.scheduler.after(options.lingerMs, sendNext);
    return batch;
  };

  return {
    add(record, tell, caller) {
      if (caller === undefined) return addRecord(batchFor(record), record, tell);
      // Every trace header has one length, so the room can be known before the batch's span is.
      const batch = batchFor({ ...record, headers: [...record.headers, traceHeader(caller)] });
      return addRecord(batch, withTrace(batch, record, { caller, start: options.startSpan }), tell);
    },
    async flush() {
      const batches = sending === undefined ? [...waiting] : [sending, ...waiting];
      sendNext();
      await Promise.all(batches.map(({ settled }) => settled.promise));
    },
    abandon(error) {
      stopLingering?.();
      stopLingering = undefined;
      abort.abort(error);
      for (const batch of waiting.splice(0)) settle(batch, { kind: "failed", error });
    },
  };
}

function outcomes(
  delivery: Exclude<Delivery, { readonly kind: "tooLarge" }>,
  partition: number,
): (index: number) => RecordOutcome {
  if (delivery.kind === "acknowledged") {
    const { baseOffset } = delivery;
    if (baseOffset === undefined) return () => ({ kind: "acknowledged", partition, offset: undefined });
    return (index) => ({ kind: "acknowledged", partition, offset: baseOffset + BigInt(index) });
  }
  const { error } = delivery;
  const outcome: RecordOutcome = { kind: error.outcome === Outcome.NOT_APPLIED ? "notApplied" : "unknown", error };
  return () => outcome;
}

/** An error that nobody can answer for ends the process. */
function reportDefect(error: unknown): void {
  throw error instanceof Error ? error : new Error("A batch could not be settled", { cause: error });
}
