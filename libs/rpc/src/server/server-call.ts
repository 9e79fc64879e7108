import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import type { Clock, Scheduler } from "@tidemark/runtime";
import { requestsExceeded, tooManyElements } from "../errors/limit-errors.ts";
import { TidemarkError, withOutcome } from "../errors/tidemark-error.ts";
import type { DefectHook } from "../errors/to-error.ts";
import { QUEUE_HIGH_WATER_BYTES } from "../wire/budgets.ts";
import { createByteBudget } from "../wire/byte-budget.ts";
import { type CallMetadata, readMetadata } from "../wire/call-metadata.ts";
import type { CallObserver } from "../wire/call-observer.ts";
import { type CallTally, createCallTally } from "../wire/call-tally.ts";
import { countElements } from "../wire/element-count.ts";
import { methodPath } from "../wire/method-path.ts";
import { createQueueMeter, type QueueMeter } from "../wire/queue-meter.ts";
import type { RawListener, RawStream } from "../wire/raw-stream.ts";
import { createReadLoop, type ReadLoop } from "../wire/read-loop.ts";
import { type CallContext, createLazyAbort, type LazyAbort, type PeerIdentity } from "./call-context.ts";
import { callTimes, startDeadline } from "./call-deadline.ts";
import { type CallEnding, createCallEnding } from "./call-ending.ts";
import type { MethodSpec } from "./method-spec.ts";
import { createRequestMeter, type RequestMeter } from "./request-meter.ts";
import type { ServerWire } from "./server-wire.ts";

/** What every call of a server shares. */
export interface ServerCallEnvironment {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly onDefect: DefectHook;
  readonly observer: CallObserver | undefined;
  /** Elements that a message may have that is received. */
  readonly elementLimit: number;
  /** Largest message that is sent, in bytes. */
  readonly sendLimit: number;
  /** Bytes that one stream may have waiting to be sent. */
  readonly queueLimit: number;
}

/** A call that runs, as the server's stop sees it. */
export interface ActiveCall {
  readonly longLived: boolean;
  /** Tells the handler that the server stops. */
  stop(error: TidemarkError): void;
  /** Ends the call now. Its effect is unknown. */
  force(error: TidemarkError): void;
}

type AnyMessage = MessageShape<DescMessage>;
type AnyInit = MessageInitShape<DescMessage>;

/**
 * Runs one incoming call: reads messages one at a time while its handler takes them, counts what is queued, keeps its
 * deadline, and ends it exactly once. `onClosed` is called when it is over.
 */
export function startServerCall(
  wire: ServerWire,
  spec: MethodSpec,
  environment: ServerCallEnvironment,
  onClosed: () => void,
): ActiveCall {
  const { clock, scheduler } = environment;
  const metadata = readMetadata(wire.metadata);
  const onDefect: DefectHook = (thrown, method) => environment.onDefect(thrown, method, metadata.get("traceparent"));
  const abort = createLazyAbort();
  const handler: { listener?: RawListener<AnyMessage> } = {};

  const ending = createCallEnding({
    wire,
    methodName: methodPath(spec.method).slice(1),
    onDefect,
    onOver(code, error) {
      deadline.cancel();
      // What was written may wait for its reader for as long as that likes: it counts until the wire is over, too.
      meter.end();
      requests.close();
      if (error !== undefined) abort.abort(error);
      tally.end(code, error);
      onClosed();
      handler.listener?.onClose?.(error);
    },
  });
  const tally = tallyOf(wire, spec, environment, metadata);
  const meter = createQueueMeter({
    budget: createByteBudget({ name: "stream", limit: environment.queueLimit, parent: wire.connectionBudget }),
    highWater: QUEUE_HIGH_WATER_BYTES,
    onDrain: () => ending.guard(() => handler.listener?.onDrain?.()),
  });
  const requests = createRequestMeter(wire, spec);
  const reads = createReadLoop(() => {
    if (!ending.over()) wire.startRead();
  });
  const deadline = startDeadline({
    times: callTimes(wire.timeoutMs, spec.deadline),
    clock,
    scheduler,
    onAbort: abort.abort,
    onAnswer: ending.fail,
  });
  const call: ActiveCall = {
    longLived: spec.longLived,
    stop(error) {
      abort.abort(error);
      if (handler.listener?.onStop === undefined) ending.fail(error);
      else ending.guard(() => handler.listener?.onStop?.());
    },
    force(error) {
      abort.abort(error);
      ending.fail(withOutcome(error, Outcome.UNKNOWN));
    },
  };

  const { elementLimit } = environment;
  listenTo(wire, spec, { ending, reads, requests, tally, meter, handler, scheduler, elementLimit });
  const stream = createServerStream(wire, spec, { ending, reads, tally, meter, sendLimit: environment.sendLimit });
  const context = new ServerCallContext(wire, spec, { metadata, abort, ending, timeoutMs: deadline.remainingMs });
  ending.guard(() => {
    handler.listener = spec.handler(stream, context);
  });
  if (ending.over()) handler.listener?.onClose?.(abort.reason());
  else reads.start();
  return call;
}

/** Takes what the wire brings to the handler. */
function listenTo(
  wire: ServerWire,
  spec: MethodSpec,
  parts: {
    readonly ending: CallEnding;
    readonly reads: ReadLoop;
    readonly requests: RequestMeter;
    readonly tally: CallTally;
    readonly meter: QueueMeter;
    readonly handler: { listener?: RawListener<AnyMessage> };
    readonly scheduler: Scheduler;
    readonly elementLimit: number;
  },
): void {
  const { ending, reads, requests, tally, handler, scheduler } = parts;
  const end = () => {
    if (!ending.over()) ending.guard(() => handler.listener?.onEnd?.());
  };
  wire.start({
    onMessage(bytes) {
      if (ending.over()) return;
      tally.received(bytes.length);
      const exceeded = requests.take(bytes.length);
      if (exceeded !== undefined) {
        ending.fail(requestsExceeded(exceeded));
        return;
      }
      reads.received(() => {
        const message = decodeRequest(spec, bytes, parts.elementLimit);
        if (message instanceof TidemarkError) ending.fail(message);
        else ending.guard(() => handler.listener?.onMessage(message));
      });
    },
    onHalfClose() {
      // A client of Node.js that cancels ends its messages first, in one packet with the reset that says what it means:
      // a stream is told of its end when whatever came with it has been read.
      if (isStreamOfRequests(spec)) scheduler.afterInput(end);
      else end();
    },
    onClose(cause) {
      ending.lost(cause ?? cancelledByCaller());
      parts.meter.close();
    },
  });
}

function isStreamOfRequests({ method: { methodKind } }: MethodSpec): boolean {
  return methodKind === "client_streaming" || methodKind === "bidi_streaming";
}

function createServerStream(
  wire: ServerWire,
  spec: MethodSpec,
  parts: {
    readonly ending: CallEnding;
    readonly reads: ReadLoop;
    readonly tally: CallTally;
    readonly meter: QueueMeter;
    readonly sendLimit: number;
  },
): RawStream<AnyInit> {
  const { ending, reads, tally, meter, sendLimit } = parts;
  return {
    bytesQueued: () => meter.queued,
    write(message) {
      if (ending.over()) return false;
      const bytes = spec.output.encode(message);
      const { length } = bytes;
      if (length > sendLimit) {
        ending.fail(answerTooLarge(length, sendLimit));
        return false;
      }
      const exceeded = meter.take(length);
      if (exceeded !== undefined) {
        ending.fail(queueExceeded(exceeded.name, exceeded.limit));
        return false;
      }
      tally.sent(length);
      wire.sendMessage(bytes, () => meter.give(length));
      return !meter.full;
    },
    pause: reads.pause,
    resume: reads.resume,
    end(error) {
      if (error === undefined) ending.finish();
      else ending.fail(error);
    },
  };
}

interface ContextParts {
  readonly metadata: CallMetadata;
  readonly abort: LazyAbort;
  readonly ending: CallEnding;
  readonly timeoutMs: () => number | undefined;
}

/** A class, since two of its fields are made when they are asked for: see byte-budget.ts for what getters cost else. */
class ServerCallContext implements CallContext {
  readonly method: CallContext["method"];
  readonly timeoutMs: CallContext["timeoutMs"];
  readonly metadata: CallMetadata;
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
  readonly peer: string;
  readonly listener: string;
  readonly #wire: ServerWire;
  readonly #abort: LazyAbort;
  readonly #ending: CallEnding;

  constructor(wire: ServerWire, spec: MethodSpec, { metadata, abort, ending, timeoutMs }: ContextParts) {
    this.#wire = wire;
    this.#abort = abort;
    this.#ending = ending;
    this.method = spec.method;
    this.timeoutMs = timeoutMs;
    this.metadata = metadata;
    this.traceparent = metadata.get("traceparent");
    this.tracestate = metadata.get("tracestate");
    this.peer = wire.peer;
    this.listener = wire.listener;
  }

  get signal(): AbortSignal {
    return this.#abort.signal();
  }

  get identity(): PeerIdentity | undefined {
    return this.#wire.identity();
  }

  setTrailer(key: string, value: string | Uint8Array): void {
    this.#ending.trailers.set(key, typeof value === "string" ? value : Buffer.from(value));
  }
}

function tallyOf(
  wire: ServerWire,
  spec: MethodSpec,
  { observer, clock }: ServerCallEnvironment,
  metadata: CallMetadata,
): CallTally {
  const { method } = spec;
  const traceparent = metadata.get("traceparent");
  return createCallTally(observer, clock, { side: "server", method, peer: wire.peer, via: wire.listener, traceparent });
}

function decodeRequest(spec: MethodSpec, bytes: Uint8Array, elementLimit: number): AnyMessage | TidemarkError {
  const { input } = spec.method;
  if (countElements(input, bytes, elementLimit) > elementLimit) return tooManyElements(input.typeName, elementLimit);
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
