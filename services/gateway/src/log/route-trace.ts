import { textToBytes } from "@tidemark/format";
import { Reason } from "@tidemark/proto/common/v1";
import type { RecordHeader } from "@tidemark/record";
import { type CallContext, reasonName, type TidemarkError } from "@tidemark/rpc";
import type { Clock } from "@tidemark/runtime";
import {
  attributeNames,
  encodeTraceHeader,
  extractTraceContext,
  injectTraceContext,
  messagingSystem,
  type Span,
  type SpanAttributes,
  type SpanEnd,
  type SpanStart,
  spanNames,
  type TraceContext,
  type TraceHeaders,
  type Tracer,
} from "@tidemark/telemetry";
import type { Attempt } from "../routing/call-leader.ts";
import type { RoutedPartition } from "../routing/route-table.ts";

/** One try at one leader, as its span tells it. */
export interface RouteSpan {
  /** To be sent to the leader. */
  readonly headers: TraceHeaders;
  /** `error`: a reason of the closed set. */
  end(error?: string): void;
}

/** The trace of one produce through the gateway. */
export interface RouteTrace {
  /** Undefined where nothing is recorded here. */
  readonly traceId: string | undefined;
  /** What is stored with a batch that is encoded here. Undefined where the produce is not sampled, or not to be recorded here. */
  readonly recordHeader: RecordHeader | undefined;
  attempt(attempt: Attempt, partition: RoutedPartition): RouteSpan;
  /**
   * The call failed. Where no leader was tried this is a span by itself, which names the error; says which it became,
   * undefined where there is none.
   */
  refuse(refusal: Refusal): TraceContext | undefined;
  /** The call is over. */
  end(): void;
}

/** Why a produce was given up. */
export interface Refusal {
  readonly topic: string;
  readonly error: TidemarkError;
}

/**
 * Begins the trace of a produce: a `gateway route` span for each try. Where the caller brings no trace the first of them
 * is its root, and the later ones are below it: it lasts until they are over. Of a produce that is not sampled a try that fails is recorded alone, at a limited
 * rate.
 */
export function beginRouteTrace(
  tracer: Tracer,
  clock: Clock,
  call: Pick<CallContext, "traceparent" | "tracestate">,
): RouteTrace {
  const caller = extractTraceContext({ traceparent: call.traceparent, tracestate: call.tracestate });
  if (!tracer.enabled || !tracer.samples(caller)) return unrecorded(tracer, clock, caller);

  const start = (parent: TraceContext | undefined, startMs: number) =>
    tracer.start({ name: spanNames.gatewayRoute, kind: "client", parent, startMs });
  const root = caller?.sampled === true ? undefined : start(caller, clock.monotonicMs());
  const origin = root?.context ?? caller;
  let unused = root;
  /** The root's own try is over, and it waits for those below it. */
  let endRoot: (() => void) | undefined;
  let wasTried = false;
  const take = (): Span => {
    const span = unused ?? start(origin, clock.monotonicMs());
    unused = undefined;
    wasTried = true;
    return span;
  };
  return {
    traceId: origin?.traceId,
    recordHeader: origin === undefined ? undefined : toRecordHeader(origin),
    attempt(attempt, partition) {
      const span = take();
      span.set(attemptAttributes(attempt, partition));
      return {
        headers: injectTraceContext(span.context),
        end(error) {
          span.set(staleness(error));
          const end = () => {
            span.end({ error });
          };
          // It may be made again, and others go to other leaders meanwhile: what is below a span lies within it.
          if (span === root) endRoot = end;
          else end();
        },
      };
    },
    refuse({ topic, error }) {
      if (wasTried) return undefined;
      const span = take();
      span.set(topicAttributes(topic));
      span.end({ error: reasonName(error.reason) });
      return span.context;
    },
    end() {
      unused?.end();
      endRoot?.();
    },
  };
}

/**
 * Nothing is recorded but what fails. Leaders are told so, or else each would draw again: by the caller's own context, else by
 * one for each try, which its span takes on where that fails, so that what a leader records of it links to it.
 */
function unrecorded(tracer: Tracer, clock: Clock, caller: TraceContext | undefined): RouteTrace {
  // Who records nothing at all has not decided against this trace: it goes on behind this gateway, and so it does by what is stored.
  const recordHeader = tracer.enabled || caller === undefined ? undefined : toRecordHeader(caller);
  let wasTried = false;
  const fail = (failure: Pick<SpanStart & SpanEnd, "startMs" | "error" | "attributes" | "told">) => {
    if (!tracer.samplesError()) return undefined;
    return tracer.record({ name: spanNames.gatewayRoute, kind: "client", parent: caller, ...failure });
  };
  return {
    traceId: undefined,
    recordHeader,
    attempt(attempt, partition) {
      wasTried = true;
      const startMs = clock.monotonicMs();
      const told = caller === undefined && tracer.enabled ? tracer.unsampled() : undefined;
      const context = caller ?? told;
      return {
        headers: context === undefined ? {} : injectTraceContext(context),
        end: (error) => {
          if (error === undefined) return;
          fail({ startMs, error, attributes: { ...attemptAttributes(attempt, partition), ...staleness(error) }, told });
        },
      };
    },
    refuse({ topic, error }) {
      return wasTried ? undefined : fail({ error: reasonName(error.reason), attributes: topicAttributes(topic) });
    },
    end: () => undefined,
  };
}

/**
 * A fetch that failed and that no leader recorded, as where there is none or it does not answer: recorded where its caller is,
 * and at a limited rate whoever asks. Says which span it became.
 */
export function recordRefusedFetch(
  tracer: Tracer,
  call: Pick<CallContext, "traceparent" | "tracestate">,
  { topic, error }: Refusal,
): TraceContext | undefined {
  if (!tracer.enabled) return undefined;
  const parent = extractTraceContext({ traceparent: call.traceparent, tracestate: call.tracestate });
  if (!tracer.samples(parent) && !tracer.samplesError()) return undefined;
  const attributes = topicAttributes(topic, "fetch");
  return tracer.record({
    name: spanNames.gatewayRoute,
    kind: "client",
    parent,
    error: reasonName(error.reason),
    attributes,
  });
}

function topicAttributes(topic: string, operation: "produce" | "fetch" = "produce"): SpanAttributes {
  return {
    [attributeNames.system]: messagingSystem,
    [attributeNames.operation]: operation,
    [attributeNames.topic]: topic,
  };
}

function attemptAttributes({ route, number }: Attempt, { topic, partition }: RoutedPartition): SpanAttributes {
  return {
    ...topicAttributes(topic),
    [attributeNames.partition]: String(partition),
    [attributeNames.leader]: route.broker,
    [attributeNames.leaderEpoch]: route.leaderEpoch,
    [attributeNames.attempt]: number,
  };
}

/** What a leader answers whom an older state of the metadata led to it. */
const staleReasons: ReadonlySet<string | undefined> = new Set(
  [Reason.NOT_LEADER, Reason.FENCED_LEADER_EPOCH, Reason.UNKNOWN_TOPIC_ID].map(reasonName),
);

/** A try that ends otherwise, or is made again for another reason, says nothing against the route. */
function staleness(error: string | undefined): SpanAttributes {
  return { [attributeNames.staleMetadata]: staleReasons.has(error) };
}

function toRecordHeader(origin: TraceContext): RecordHeader | undefined {
  const header = encodeTraceHeader(origin);
  return header === undefined ? undefined : { key: textToBytes(header.key), value: header.value };
}
