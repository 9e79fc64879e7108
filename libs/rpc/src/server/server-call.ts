import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { Metadata, status } from "@grpc/grpc-js";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import type { Clock, Scheduler } from "@tidemark/runtime";
import { type GrpcStatus, toGrpcStatus } from "../errors/grpc-status.ts";
import { TidemarkError, withOutcome } from "../errors/tidemark-error.ts";
import { type DefectHook, toTidemarkError } from "../errors/to-error.ts";
import { QUEUE_HIGH_WATER_BYTES, QUEUE_LIMIT_BYTES } from "../wire/budgets.ts";
import { createByteBudget } from "../wire/byte-budget.ts";
import { readMetadata } from "../wire/call-metadata.ts";
import type { CallObserver } from "../wire/call-observer.ts";
import { createCallTally } from "../wire/call-tally.ts";
import { createQueueMeter } from "../wire/queue-meter.ts";
import type { RawListener, RawStream } from "../wire/raw-stream.ts";
import { createReadLoop } from "../wire/read-loop.ts";
import { type CallContext, createLazyAbort } from "./call-context.ts";
import { callTimes, startDeadline } from "./call-deadline.ts";
import type { MethodSpec } from "./method-spec.ts";
import type { ServerWire } from "./server-wire.ts";

/** What every call of a server shares. */
export interface ServerCallEnvironment {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly onDefect: DefectHook;
  readonly observer: CallObserver | undefined;
  /** Largest message that is sent, in bytes. */
  readonly sendLimit: number;
}

/** A call that runs, as the server's stop sees it. */
export interface ActiveCall {
  readonly longLived: boolean;
  /** Tells the handler that the server stops. */
  stop(error: TidemarkError): void;
  /** Ends the call now. Its effect is unknown unless `error` says otherwise. */
  force(error: TidemarkError): void;
}

type AnyMessage = MessageShape<DescMessage>;
type AnyInit = MessageInitShape<DescMessage>;

const OK = { code: status.OK, details: "OK" } as const;

/**
 * Runs one incoming call: reads messages one at a time while its handler takes them, counts what is queued, keeps its
 * deadline, and ends it exactly once. `onClosed` is called when it is over.
 */
export function startServerCall(
  wire: ServerWire,
  spec: MethodSpec,
  environment: ServerCallEnvironment,
  onClosed: (call: ActiveCall) => void,
): ActiveCall {
  const { clock, scheduler, onDefect, sendLimit } = environment;
  const methodName = `${spec.method.parent.typeName}/${spec.method.name}`;
  const metadata = readMetadata(wire.metadata);
  const abort = createLazyAbort();
  const trailers = new Metadata();
  let listener: RawListener<AnyMessage> | undefined;
  let closed = false;

  const tally = createCallTally(environment.observer, clock, {
    side: "server",
    method: spec.method,
    peer: wire.peer,
    via: wire.listener,
    traceparent: metadata.get("traceparent"),
  });
  const meter = createQueueMeter({
    budget: createByteBudget({ name: "stream", limit: QUEUE_LIMIT_BYTES.stream, parent: wire.connectionBudget }),
    highWater: QUEUE_HIGH_WATER_BYTES,
    onDrain: () => guard(() => listener?.onDrain?.()),
  });
  const reads = createReadLoop(() => {
    if (!closed) wire.startRead();
  });
  const deadline = startDeadline({
    times: callTimes(wire.timeoutMs, spec.deadline),
    clock,
    scheduler,
    onAbort: (error) => abort.abort(error),
    onAnswer: (error) => fail(error),
  });

  const close = (ended: GrpcStatus | typeof OK, error: TidemarkError | undefined) => {
    closed = true;
    deadline.cancel();
    meter.close();
    if (error !== undefined) abort.abort(error);
    tally.end(ended.code, error);
    onClosed(call);
    try {
      listener?.onClose?.(error);
    } catch (thrown) {
      onDefect(thrown, methodName);
    }
  };
  const fail = (error: TidemarkError) => {
    if (closed) return;
    const ended = toGrpcStatus(error, trailers);
    wire.sendStatus(ended);
    close(ended, error);
  };
  /** Runs what belongs to the handler: what it throws ends the call. */
  const guard = (step: () => void) => {
    try {
      step();
    } catch (thrown) {
      fail(toTidemarkError(thrown, methodName, onDefect));
    }
  };

  const stream: RawStream<AnyInit> = {
    get bytesQueued() {
      return meter.queued;
    },
    write(message) {
      if (closed) return false;
      const bytes = spec.output.encode(message);
      const { length } = bytes;
      if (length > sendLimit) {
        fail(answerTooLarge(length, sendLimit));
        return false;
      }
      const exceeded = meter.take(length);
      if (exceeded !== undefined) {
        fail(queueExceeded(exceeded.name, exceeded.limit));
        return false;
      }
      tally.sent(length);
      wire.sendMessage(bytes, () => meter.give(length));
      return !meter.full;
    },
    pause: reads.pause,
    resume: reads.resume,
    end(error) {
      if (closed) return;
      if (error !== undefined) {
        fail(error);
        return;
      }
      wire.sendStatus({ ...OK, metadata: trailers });
      close(OK, undefined);
    },
  };

  const context: CallContext = {
    method: spec.method,
    get signal() {
      return abort.signal;
    },
    timeoutMs: deadline.remainingMs,
    metadata,
    traceparent: metadata.get("traceparent"),
    tracestate: metadata.get("tracestate"),
    peer: wire.peer,
    identity: wire.identity,
    listener: wire.listener,
    setTrailer: (key, value) => trailers.set(key, typeof value === "string" ? value : Buffer.from(value)),
  };

  const call: ActiveCall = {
    longLived: spec.longLived,
    stop(error) {
      if (closed) return;
      abort.abort(error);
      if (listener?.onStop === undefined) fail(error);
      else guard(() => listener?.onStop?.());
    },
    force(error) {
      abort.abort(error);
      fail(withOutcome(error, Outcome.UNKNOWN));
    },
  };

  wire.start({
    onMessage(bytes) {
      if (closed) return;
      tally.received(bytes.length);
      reads.received(() => {
        const message = decodeRequest(spec, bytes);
        if (message instanceof TidemarkError) fail(message);
        else guard(() => listener?.onMessage(message));
      });
    },
    onHalfClose() {
      if (!closed) guard(() => listener?.onEnd?.());
    },
    onClose(cause) {
      if (closed) return;
      const error = cause ?? cancelledByCaller();
      close(toGrpcStatus(error), error);
    },
  });
  guard(() => {
    listener = spec.handler(stream, context);
  });
  if (!closed) reads.start();
  return call;
}

function decodeRequest(spec: MethodSpec, bytes: Uint8Array): AnyMessage | TidemarkError {
  try {
    return spec.input.decode(bytes);
  } catch (cause) {
    return new TidemarkError({
      reason: Reason.INVALID_ARGUMENT,
      message: `The request is not a valid ${spec.method.input.typeName}.`,
      cause,
    });
  }
}

function cancelledByCaller(): TidemarkError {
  return new TidemarkError({ reason: Reason.CANCELLED, message: "The caller cancelled the call, or vanished." });
}

function answerTooLarge(length: number, limit: number): TidemarkError {
  return new TidemarkError({
    reason: Reason.MESSAGE_TOO_LARGE,
    message: `The answer has ${length} bytes, above the ${limit} that this process sends at once. Ask for less.`,
    outcome: Outcome.UNKNOWN,
  });
}

function queueExceeded(name: string, limit: number): TidemarkError {
  return new TidemarkError({
    reason: Reason.RESOURCE_EXHAUSTED,
    message: `More than ${limit} bytes wait to be sent on this ${name}. Read faster, or ask for less.`,
    outcome: Outcome.UNKNOWN,
  });
}
