import { textToBytes } from "@tidemark/format";
import type { RecordHeader } from "@tidemark/record";
import type { CallContext } from "@tidemark/rpc";
import type { Clock } from "@tidemark/runtime";
import {
  attributeNames,
  encodeTraceHeader,
  extractTraceContext,
  injectTraceContext,
  messagingSystem,
  type Span,
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
  /** What is stored with a batch that is encoded here. Undefined where the produce is not sampled. */
  readonly recordHeader: RecordHeader | undefined;
  attempt(attempt: Attempt, partition: RoutedPartition): RouteSpan;
  /** The call is over. */
  end(): void;
}

/**
 * Begins the trace of a produce: a `gateway route` span for each try. Where the caller brings no trace the first of them
 * is its root, and the later ones are below it.
 */
export function beginRouteTrace(
  tracer: Tracer,
  clock: Clock,
  call: Pick<CallContext, "traceparent" | "tracestate">,
): RouteTrace {
  const caller = extractTraceContext({ traceparent: call.traceparent, tracestate: call.tracestate });
  if (!tracer.enabled || !tracer.samples(caller)) return unrecorded(tracer, caller);

  const start = (parent: TraceContext | undefined, startMs: number) =>
    tracer.start({ name: spanNames.gatewayRoute, kind: "client", parent, startMs });
  const root = caller?.sampled === true ? undefined : start(caller, clock.monotonicMs());
  const origin = root?.context ?? caller;
  let unused = root;
  const take = (): Span => {
    const span = unused ?? start(origin, clock.monotonicMs());
    unused = undefined;
    return span;
  };
  return {
    traceId: origin?.traceId,
    recordHeader: origin === undefined ? undefined : toRecordHeader(origin),
    attempt({ route, number }, { topic, partition }) {
      const span = take();
      span.set({
        [attributeNames.system]: messagingSystem,
        [attributeNames.topic]: topic,
        [attributeNames.partition]: String(partition),
        [attributeNames.leader]: route.broker,
        [attributeNames.leaderEpoch]: route.leaderEpoch,
        [attributeNames.attempt]: number,
        [attributeNames.staleMetadata]: number > 1,
      });
      return { headers: injectTraceContext(span.context), end: (error) => span.end({ error }) };
    },
    end: () => unused?.end(),
  };
}

/** Nothing is recorded. Leaders are told so, or else each would draw again. */
function unrecorded(tracer: Tracer, caller: TraceContext | undefined): RouteTrace {
  const context = caller ?? (tracer.enabled ? tracer.unsampled : undefined);
  const span: RouteSpan = {
    headers: context === undefined ? {} : injectTraceContext(context),
    end: () => undefined,
  };
  return { traceId: undefined, recordHeader: undefined, attempt: () => span, end: () => undefined };
}

function toRecordHeader(origin: TraceContext): RecordHeader | undefined {
  const header = encodeTraceHeader(origin);
  return header === undefined ? undefined : { key: textToBytes(header.key), value: header.value };
}
