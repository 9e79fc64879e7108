import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError, withOutcome } from "@tidemark/rpc";
import { delay, type Runtime } from "@tidemark/runtime";
import { backoffMs } from "../backoff.ts";
import type { OpenBatch } from "./open-batch.ts";

/** Sends one encoded batch and resolves with its base offset, or fails with a TidemarkError. */
export type SendBatch = (batch: Uint8Array, options: SendOptions) => Promise<bigint | undefined>;

export interface SendOptions {
  readonly timeoutMs: number;
  /** Aborted when the producer is closed without waiting. */
  readonly signal: AbortSignal;
  /** W3C trace context of the batch's span. */
  readonly traceparent?: string;
}

/**
 * What became of a batch. `tooLarge`: refused for its size as a whole, though its records may be small enough one by
 * one. `failed`: the error's outcome is NOT_APPLIED or UNKNOWN and counts all attempts (P12).
 */
export type Delivery =
  | { readonly kind: "acknowledged"; readonly baseOffset: bigint | undefined }
  | { readonly kind: "tooLarge" }
  | { readonly kind: "failed"; readonly error: TidemarkError };

export interface DeliverOptions {
  readonly runtime: Runtime;
  readonly send: SendBatch;
  readonly deliveryTimeoutMs: number;
  readonly requestTimeoutMs: number;
}

/**
 * Sends a batch until it is acknowledged, refused for good, or too late. What is unknown is sent again too: without a
 * producer id it may then stand twice.
 */
export async function deliver(
  batch: OpenBatch,
  encoded: Uint8Array,
  options: DeliverOptions,
  call: Omit<SendOptions, "timeoutMs">,
): Promise<Delivery> {
  const { clock, random, scheduler } = options.runtime;
  const deadline = batch.firstAt + options.deliveryTimeoutMs;
  let last: TidemarkError | undefined;
  for (let attempt = 1; ; attempt++) {
    const leftMs = deadline - clock.monotonicMs();
    if (leftMs <= 0) return failed(last ?? expired(options.deliveryTimeoutMs), batch);
    try {
      const timeoutMs = Math.max(1, Math.min(options.requestTimeoutMs, leftMs));
      return { kind: "acknowledged", baseOffset: await options.send(encoded, { ...call, timeoutMs }) };
    } catch (caught) {
      last = asTidemarkError(caught);
    }
    if (last.outcome === Outcome.APPLIED) return { kind: "acknowledged", baseOffset: last.fields.baseOffset };
    if (last.outcome === Outcome.UNKNOWN) batch.isUnknown = true;
    if (last.reason === Reason.MESSAGE_TOO_LARGE && batch.settles.length > 1) return { kind: "tooLarge" };
    const mayBeSentAgain = last.retriable || last.outcome === Outcome.UNKNOWN;
    const waitMs = Math.max(backoffMs(attempt, random), last.fields.retryAfterMs ?? 0);
    const isLate = clock.monotonicMs() + waitMs >= deadline;
    if (!mayBeSentAgain || isLate || call.signal.aborted) return failed(last, batch);
    try {
      await delay(scheduler, waitMs, call.signal);
    } catch {
      return failed(last, batch);
    }
  }
}

function failed(error: TidemarkError, { isUnknown }: OpenBatch): Delivery {
  return { kind: "failed", error: withOutcome(error, isUnknown ? Outcome.UNKNOWN : Outcome.NOT_APPLIED) };
}

function expired(deliveryTimeoutMs: number): TidemarkError {
  return new TidemarkError({
    reason: Reason.DEADLINE_EXCEEDED,
    message: `Not sent within ${deliveryTimeoutMs} ms: earlier records of the partition were not settled before`,
    outcome: Outcome.NOT_APPLIED,
  });
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
