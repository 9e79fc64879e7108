import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { fromErrorDetail, TidemarkError, withOutcome } from "@tidemark/rpc";
import type { Cancel, Runtime } from "@tidemark/runtime";
import type { OpenProduceStream, ProduceMessage } from "../connection.ts";

/** How much later than the server's own answer a message is given up here, in milliseconds. */
const answerGraceMs = 1000;

/** Told once of a message: the base offset, absent with acks none, or why there is none. */
export type SettleMessage = (outcome: { readonly baseOffset: bigint | undefined } | TidemarkError) => void;

/**
 * A produce stream to one endpoint. Messages of one partition are appended in the order in which they are sent.
 *
 * | what happens                         | what becomes of a message without an answer                                  |
 * |--------------------------------------|------------------------------------------------------------------------------|
 * | its answer comes                     | as the answer says                                                           |
 * | there never was a connection         | certainly not applied                                                        |
 * | the stream ends for any other reason | unknown: it may have been appended before                                    |
 * | nothing comes in time                | unknown, and the stream is given up: whoever does not answer is not asked on |
 */
export interface StreamLink {
  /** False once the stream is over: nothing is to be sent on it any more. */
  readonly isOpen: boolean;
  /** False while too many bytes wait to be answered or to leave; `onRoom` comes when that has passed. */
  readonly hasRoom: boolean;
  /** `timeoutMs`: how long the server may take to answer. */
  send(message: Omit<ProduceMessage, "sequence" | "timeoutMs">, timeoutMs: number, settle: SettleMessage): void;
  /** Nothing more will be sent: ends the stream when the last answer is there. */
  end(): void;
  /** Ends it now. */
  cancel(): void;
}

export interface StreamLinkOptions {
  readonly endpoint: string;
  readonly open: OpenProduceStream;
  readonly runtime: Pick<Runtime, "clock" | "scheduler">;
  /** Bytes of batches that may wait for their answers. One message goes in any case. */
  readonly inFlightBytesMax: number;
  readonly onRoom: () => void;
}

interface Unanswered {
  readonly bytes: number;
  /** When it is given up, on the monotonic clock. */
  readonly endsAtMs: number;
  readonly settle: SettleMessage;
}

export function openStreamLink(options: StreamLinkOptions): StreamLink {
  const { endpoint, runtime, inFlightBytesMax } = options;
  const { clock, scheduler } = runtime;
  const unanswered = new Map<bigint, Unanswered>();
  let nextSequence = 0n;
  let bytes = 0;
  let canWrite = true;
  let closedBy: TidemarkError | undefined;
  let timer: { readonly atMs: number; readonly cancel: Cancel } | undefined;

  const hasRoom = () => canWrite && bytes < inFlightBytesMax;

  /** Settles one and says whether there is room where there was none before. */
  const take = (sequence: bigint, outcome: Parameters<SettleMessage>[0]) => {
    const message = unanswered.get(sequence);
    if (message === undefined) return;
    unanswered.delete(sequence);
    bytes -= message.bytes;
    message.settle(outcome);
  };

  const close = (error: TidemarkError) => {
    closedBy ??= error;
    for (const sequence of [...unanswered.keys()]) take(sequence, closedBy);
    arm();
    options.onRoom();
  };

  const stream = options.open(endpoint, () => ({
    onMessage({ results }) {
      const wasFull = !hasRoom();
      for (const result of results) {
        const { error, message, baseOffset } = result;
        take(result.sequence, error === undefined ? { baseOffset } : fromErrorDetail(error, message));
      }
      if (unanswered.size === 0) arm();
      if (wasFull && hasRoom()) options.onRoom();
    },
    onDrain() {
      canWrite = true;
      if (hasRoom()) options.onRoom();
    },
    onClose: (cause) => close(lost(cause, endpoint)),
  }));

  /** One timer for all messages, at the earliest end that is known. */
  const arm = () => {
    if (unanswered.size === 0) {
      timer?.cancel();
      timer = undefined;
      return;
    }
    let atMs = Number.POSITIVE_INFINITY;
    for (const { endsAtMs } of unanswered.values()) atMs = Math.min(atMs, endsAtMs);
    if (timer !== undefined && timer.atMs <= atMs) return;
    timer?.cancel();
    // An answer that has come in meanwhile is taken first.
    const cancel = scheduler.after(atMs - clock.monotonicMs(), () => scheduler.afterInput(expire));
    timer = { atMs, cancel };
  };

  const expire = () => {
    timer = undefined;
    const nowMs = clock.monotonicMs();
    const isLate = [...unanswered.values()].some(({ endsAtMs }) => endsAtMs <= nowMs);
    if (!isLate || closedBy !== undefined) {
      arm();
      return;
    }
    const error = silent(endpoint);
    close(error);
    stream.end(error);
  };

  return {
    get isOpen() {
      return closedBy === undefined;
    },
    get hasRoom() {
      return hasRoom();
    },
    send(message, timeoutMs, settle) {
      if (closedBy !== undefined) {
        settle(closedBy);
        return;
      }
      const sequence = nextSequence++;
      const endsAtMs = clock.monotonicMs() + timeoutMs + answerGraceMs;
      unanswered.set(sequence, { bytes: message.batches.length, endsAtMs, settle });
      bytes += message.batches.length;
      canWrite = stream.write({ ...message, sequence, timeoutMs: Math.max(1, Math.ceil(timeoutMs)) });
      if (timer === undefined || endsAtMs < timer.atMs) arm();
    },
    end: () => stream.end(),
    cancel() {
      const error = cancelled(endpoint);
      stream.end(error);
      close(error);
    },
  };
}

function lost(cause: TidemarkError | undefined, endpoint: string): TidemarkError {
  if (cause === undefined) return unavailable(`${endpoint} ended the stream without an answer to this batch`);
  const isNeverSent = cause.reason === Reason.UNAVAILABLE || cause.reason === Reason.UNSUPPORTED;
  if (isNeverSent && cause.outcome === Outcome.NOT_APPLIED) return cause;
  return withOutcome(cause, Outcome.UNKNOWN);
}

function silent(endpoint: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.DEADLINE_EXCEEDED,
    message: `${endpoint} did not answer in time: whether the batch is stored is not known`,
    outcome: Outcome.UNKNOWN,
  });
}

function cancelled(endpoint: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.CANCELLED,
    message: `The producer was closed before ${endpoint} answered`,
    outcome: Outcome.UNKNOWN,
  });
}

function unavailable(message: string): TidemarkError {
  return new TidemarkError({ reason: Reason.UNAVAILABLE, message, outcome: Outcome.UNKNOWN });
}
