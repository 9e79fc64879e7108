import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { type Metadata, status } from "@grpc/grpc-js";
import { fromGrpcStatus } from "../errors/grpc-status.ts";
import { TidemarkError } from "../errors/tidemark-error.ts";
import { QUEUE_HIGH_WATER_BYTES, QUEUE_LIMIT_BYTES } from "../wire/budgets.ts";
import { createByteBudget } from "../wire/byte-budget.ts";
import { readMetadata, toMetadata } from "../wire/call-metadata.ts";
import { type CallTally, createCallTally } from "../wire/call-tally.ts";
import { createQueueMeter, type QueueMeter } from "../wire/queue-meter.ts";
import type { RawListener, RawStream } from "../wire/raw-stream.ts";
import { createReadLoop, type ReadLoop } from "../wire/read-loop.ts";
import { type CallErrors, createCallErrors, invalidAnswer } from "./call-errors.ts";
import type { CallOptions } from "./call-options.ts";
import type { ClientWire } from "./client-wire.ts";
import type { MethodBinding } from "./method-binding.ts";
import type { RpcChannel } from "./rpc-channel.ts";
import { createSendQueue, type SendQueue } from "./send-queue.ts";

type AnyMessage = MessageShape<DescMessage>;
type AnyInit = MessageInitShape<DescMessage>;

/** What the pieces of one call share. */
interface ClientCall {
  readonly channel: RpcChannel;
  readonly binding: MethodBinding;
  readonly wire: ClientWire;
  readonly errors: CallErrors;
  readonly tally: CallTally;
  readonly meter: QueueMeter;
  readonly queue: SendQueue;
  readonly reads: ReadLoop;
  over(): boolean;
  /** Ends it on this side; tells the listener. The first call counts. */
  close(error: TidemarkError | undefined): void;
  /** Ends it on both sides. */
  giveUp(error: TidemarkError): void;
  /** Runs what belongs to the listener: what it throws ends the call. */
  guard(step: () => void): void;
}

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
  const timeoutMs = timeoutOf(options.timeoutMs ?? defaultTimeoutMs(channel, binding));
  const listening: { listener?: RawListener<AnyMessage> } = {};
  const call = createClientCall(channel, binding, { options, timeoutMs, listening });
  const stream = createClientStream(call);
  listening.listener = createListener(stream);
  call.wire.start(headersOf(options), {
    onMessage: (bytes) => deliver(call, listening, bytes),
    onStatus({ code, details, metadata }) {
      call.guard(() => options.onTrailers?.(readMetadata(metadata)));
      const { requestSent } = call.wire;
      call.close(code === status.OK ? undefined : fromGrpcStatus({ code, details, metadata }, requestSent));
    },
  });
  if (!call.over()) call.reads.start();
  return stream;
}

function createClientCall(
  channel: RpcChannel,
  binding: MethodBinding,
  parts: {
    readonly options: CallOptions;
    readonly timeoutMs: number;
    readonly listening: { listener?: RawListener<AnyMessage> };
  },
): ClientCall {
  const { options, timeoutMs, listening } = parts;
  const { clock } = channel.runtime;
  const startedAt = clock.monotonicMs();
  const wire = channel.startCall({
    path: binding.path,
    waitForReady: options.waitForReady ?? false,
    remainingMs: () => startedAt + timeoutMs - clock.monotonicMs(),
  });
  const errors = createCallErrors(binding.method, channel.endpoint, wire);
  let isOver = false;

  const giveUp = (error: TidemarkError) => {
    if (isOver) return;
    wire.cancel(error.message);
    call.close(error);
  };
  const guard = (step: () => void) => {
    try {
      step();
    } catch (thrown) {
      giveUp(errors.listenerFailed(thrown));
    }
  };
  const meter = createQueueMeter({
    budget: createByteBudget({ name: "stream", limit: QUEUE_LIMIT_BYTES.stream, parent: channel.budget }),
    highWater: QUEUE_HIGH_WATER_BYTES,
    onDrain: () => guard(() => listening.listener?.onDrain?.()),
  });
  const call: ClientCall = {
    channel,
    binding,
    wire,
    errors,
    meter,
    giveUp,
    guard,
    tally: tallyOf(channel, binding, options),
    queue: createSendQueue(wire, (length) => meter.give(length)),
    reads: createReadLoop(() => {
      if (!isOver) wire.startRead();
    }),
    over: () => isOver,
    close(error) {
      if (isOver) return;
      isOver = true;
      stopLimits();
      call.queue.clear();
      meter.close();
      call.tally.end(error?.grpcStatus ?? status.OK, error);
      listening.listener?.onClose?.(error);
    },
  };
  const stopLimits = startLimits(call, options.signal, timeoutMs);
  return call;
}

/** Ends the call when its signal is aborted or its time is over. Returns what to call when it ended otherwise. */
function startLimits(call: ClientCall, signal: AbortSignal | undefined, timeoutMs: number): () => void {
  const { scheduler } = call.channel.runtime;
  const onAbort = () => call.giveUp(call.errors.cancelled(signal?.reason));
  const onDeadline = () => call.giveUp(call.errors.deadlineExceeded(timeoutMs));
  // An answer that has arrived is read first: a process that stalled would else call it late.
  const cancelTimer =
    timeoutMs === Number.POSITIVE_INFINITY
      ? undefined
      : scheduler.after(timeoutMs, () => scheduler.afterInput(onDeadline));
  signal?.addEventListener("abort", onAbort, { once: true });
  // Later, so that everything is in place when the call ends.
  if (signal?.aborted === true) scheduler.afterInput(onAbort);
  return () => {
    cancelTimer?.();
    signal?.removeEventListener("abort", onAbort);
  };
}

function createClientStream(call: ClientCall): RawStream<AnyInit> {
  const { channel, errors, meter, queue, reads, tally } = call;
  return {
    bytesQueued: () => meter.queued,
    write(message) {
      if (call.over()) return false;
      const bytes = encodeRequest(call, message);
      if (bytes === undefined) return false;
      const { length } = bytes;
      if (length > channel.messageLimitBytes) {
        call.giveUp(errors.requestTooLarge(length, channel.messageLimitBytes));
        return false;
      }
      const exceeded = meter.take(length);
      if (exceeded !== undefined) {
        call.giveUp(errors.queueExceeded(exceeded));
        return false;
      }
      tally.sent(length);
      queue.push(bytes);
      return !meter.full;
    },
    pause: reads.pause,
    resume: reads.resume,
    end(error) {
      if (error !== undefined) call.giveUp(error);
      else if (!call.over()) queue.end();
    },
  };
}

/** Ends the call where the message is none of its method. */
function encodeRequest(call: ClientCall, message: AnyInit) {
  try {
    return call.binding.input.encode(message);
  } catch (cause) {
    call.giveUp(call.errors.requestInvalid(cause));
    return undefined;
  }
}

function deliver(call: ClientCall, listening: { listener?: RawListener<AnyMessage> }, bytes: Uint8Array): void {
  if (call.over()) return;
  call.tally.received(bytes.length);
  call.reads.received(() => {
    const message = decodeAnswer(call.binding, bytes);
    if (message instanceof TidemarkError) call.giveUp(message);
    else call.guard(() => listening.listener?.onMessage(message));
  });
}

function decodeAnswer({ method, output }: MethodBinding, bytes: Uint8Array): AnyMessage | TidemarkError {
  try {
    return output.decode(bytes);
  } catch (cause) {
    return invalidAnswer(method, cause);
  }
}

/** What a timer can wait, in milliseconds: Node's run at once when they are given more, so more is no deadline. */
function timeoutOf(timeoutMs: number): number {
  return timeoutMs < 2 ** 31 ? timeoutMs : Number.POSITIVE_INFINITY;
}

/** Milliseconds. Infinity for streams. */
function defaultTimeoutMs(channel: RpcChannel, { method }: MethodBinding): number {
  const oneAnswer = method.methodKind === "unary" || method.methodKind === "client_streaming";
  return oneAnswer ? channel.defaultTimeoutMs : Number.POSITIVE_INFINITY;
}

function headersOf({ metadata, traceparent, tracestate }: CallOptions): Metadata {
  return toMetadata({
    ...metadata,
    ...(traceparent !== undefined && { traceparent }),
    ...(tracestate !== undefined && { tracestate }),
  });
}

function tallyOf(channel: RpcChannel, { method }: MethodBinding, { traceparent }: CallOptions): CallTally {
  const { observer, runtime, endpoint, trafficClass } = channel;
  const seen = { side: "client", method, peer: endpoint, via: trafficClass, traceparent } as const;
  return createCallTally(observer, runtime.clock, seen);
}
