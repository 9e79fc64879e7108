import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { fromGrpcStatus, type GrpcStatus } from "../errors/grpc-status.ts";
import { TidemarkError } from "../errors/tidemark-error.ts";
import { QUEUE_HIGH_WATER_BYTES, QUEUE_LIMIT_BYTES } from "../wire/budgets.ts";
import { createByteBudget } from "../wire/byte-budget.ts";
import { readMetadata, toMetadata } from "../wire/call-metadata.ts";
import { createCallTally } from "../wire/call-tally.ts";
import { createQueueMeter } from "../wire/queue-meter.ts";
import type { RawListener, RawStream } from "../wire/raw-stream.ts";
import { createReadLoop } from "../wire/read-loop.ts";
import type { CallOptions } from "./call-options.ts";
import type { MethodBinding } from "./method-binding.ts";
import type { RpcChannel } from "./rpc-channel.ts";
import { createSendQueue } from "./send-queue.ts";

type AnyMessage = MessageShape<DescMessage>;
type AnyInit = MessageInitShape<DescMessage>;

/**
 * Starts one call and runs it until it is over: queues what is written, reads one message at a time while the listener
 * takes them, keeps its deadline. Everything that goes wrong comes by `onClose`, also what goes wrong at once.
 */
export function startClientCall(
  channel: RpcChannel,
  binding: MethodBinding,
  options: CallOptions,
  createListener: (stream: RawStream<AnyInit>) => RawListener<AnyMessage>,
): RawStream<AnyInit> {
  const { clock, scheduler } = channel.runtime;
  const { signal } = options;
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs(channel, binding);
  const startedAt = clock.monotonicMs();
  let listener: RawListener<AnyMessage> | undefined;
  let closed = false;

  const tally = createCallTally(channel.observer, clock, {
    side: "client",
    method: binding.method,
    peer: channel.endpoint,
    via: channel.trafficClass,
    traceparent: options.traceparent,
  });
  const wire = channel.startCall({
    path: binding.path,
    waitForReady: options.waitForReady ?? false,
    remainingMs: () => (timeoutMs === undefined ? undefined : startedAt + timeoutMs - clock.monotonicMs()),
  });
  const meter = createQueueMeter({
    budget: createByteBudget({ name: "stream", limit: QUEUE_LIMIT_BYTES.stream, parent: channel.budget }),
    highWater: QUEUE_HIGH_WATER_BYTES,
    onDrain: () => guard(() => listener?.onDrain?.()),
  });
  const queue = createSendQueue(wire, (length) => meter.give(length));
  const reads = createReadLoop(() => {
    if (!closed) wire.startRead();
  });

  const close = (error: TidemarkError | undefined) => {
    if (closed) return;
    closed = true;
    stopTimer();
    signal?.removeEventListener("abort", onAbort);
    queue.clear();
    meter.close();
    tally.end(error?.grpcStatus ?? status.OK, error);
    listener?.onClose?.(error);
  };
  /** Ends the call from this side. */
  const giveUp = (error: TidemarkError) => {
    if (closed) return;
    wire.cancel(error.message);
    close(error);
  };
  const outcome = () => (wire.requestSent ? Outcome.UNKNOWN : Outcome.NOT_APPLIED);
  const onAbort = () => giveUp(cancelled(binding, outcome(), signal?.reason));
  const onDeadline = () => giveUp(deadlineExceeded(binding, channel, outcome(), timeoutMs));
  /** What a listener throws is a defect of the caller: it ends the call and surfaces there. */
  const guard = (step: () => void) => {
    try {
      step();
    } catch (thrown) {
      giveUp(listenerFailed(binding, outcome(), thrown));
    }
  };
  const stopTimer =
    timeoutMs === undefined ? () => undefined : scheduler.after(timeoutMs, () => scheduler.afterInput(onDeadline));

  const stream: RawStream<AnyInit> = {
    get bytesQueued() {
      return meter.queued;
    },
    write(message) {
      if (closed) return false;
      const bytes = binding.input.encode(message);
      const { length } = bytes;
      const exceeded = length > channel.messageLimitBytes ? undefined : meter.take(length);
      if (length > channel.messageLimitBytes) giveUp(requestTooLarge(length, channel.messageLimitBytes, outcome()));
      else if (exceeded !== undefined) giveUp(queueExceeded(exceeded.name, exceeded.limit, outcome()));
      if (closed) return false;
      tally.sent(length);
      queue.push(bytes);
      return !meter.full;
    },
    pause: reads.pause,
    resume: reads.resume,
    end(error) {
      if (error !== undefined) giveUp(error);
      else if (!closed) queue.end();
    },
  };
  listener = createListener(stream);

  wire.start(headersOf(options), {
    onMessage(bytes) {
      if (closed) return;
      tally.received(bytes.length);
      reads.received(() => {
        const message = decodeAnswer(binding, bytes);
        if (message instanceof TidemarkError) giveUp(message);
        else guard(() => listener?.onMessage(message));
      });
    },
    onStatus(ended) {
      options.onTrailers?.(readMetadata(ended.metadata));
      close(errorOf(ended, wire.requestSent));
    },
  });
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  else reads.start();
  return stream;
}

function defaultTimeoutMs(channel: RpcChannel, { method }: MethodBinding): number | undefined {
  const oneAnswer = method.methodKind === "unary" || method.methodKind === "client_streaming";
  return oneAnswer ? channel.defaultTimeoutMs : undefined;
}

function headersOf({ metadata, traceparent, tracestate }: CallOptions) {
  return toMetadata({
    ...metadata,
    ...(traceparent !== undefined && { traceparent }),
    ...(tracestate !== undefined && { tracestate }),
  });
}

function errorOf(ended: GrpcStatus, requestSent: boolean): TidemarkError | undefined {
  return ended.code === status.OK ? undefined : fromGrpcStatus(ended, requestSent);
}

function decodeAnswer({ method, output }: MethodBinding, bytes: Uint8Array): AnyMessage | TidemarkError {
  try {
    return output.decode(bytes);
  } catch (cause) {
    const message = `The answer of ${method.name} is not a valid ${method.output.typeName}.`;
    return new TidemarkError({ reason: Reason.INTERNAL, message, cause });
  }
}

function cancelled({ method }: MethodBinding, outcome: Outcome, cause: unknown): TidemarkError {
  return new TidemarkError({ reason: Reason.CANCELLED, message: `${method.name} was cancelled.`, outcome, cause });
}

function deadlineExceeded(
  { method }: MethodBinding,
  channel: RpcChannel,
  outcome: Outcome,
  timeoutMs: number | undefined,
): TidemarkError {
  const message = `${method.name} at ${channel.endpoint} did not end within ${timeoutMs ?? 0} ms.`;
  return new TidemarkError({ reason: Reason.DEADLINE_EXCEEDED, message, outcome });
}

function listenerFailed({ method }: MethodBinding, outcome: Outcome, cause: unknown): TidemarkError {
  return new TidemarkError({
    reason: Reason.INTERNAL,
    message: `The caller of ${method.name} failed.`,
    outcome,
    cause,
  });
}

function requestTooLarge(length: number, limit: number, outcome: Outcome): TidemarkError {
  return new TidemarkError({
    reason: Reason.MESSAGE_TOO_LARGE,
    message: `The message has ${length} bytes, above the ${limit} that may be sent at once. Send less at once.`,
    outcome,
  });
}

function queueExceeded(name: string, limit: number, outcome: Outcome): TidemarkError {
  return new TidemarkError({
    reason: Reason.RESOURCE_EXHAUSTED,
    message: `More than ${limit} bytes wait to be sent on this ${name}. Wait for what was sent before.`,
    outcome,
  });
}
