import { Reason } from "@tidemark/proto/common/v1";
import type { Codecs } from "@tidemark/record";
import { type ByteBudget, type CallContext, type CallOptions, TidemarkError, withOutcome } from "@tidemark/rpc";
import type { Runtime } from "@tidemark/runtime";
import { type TraceHeaders, type Tracer, traceIdTrailer } from "@tidemark/telemetry";
import type { Leaders } from "../routing/leaders.ts";
import { createPauses, type Pauses } from "../routing/patience.ts";
import type { RouteTable } from "../routing/route-table.ts";

/** What the calls of the data service share. */
export interface LogContext {
  readonly table: RouteTable;
  readonly leaders: Leaders;
  readonly runtime: Runtime;
  readonly codecs: Codecs;
  readonly tracer: Tracer;
  /** The largest batch of a topic that does not say, in bytes. */
  readonly batchBytesMax: number;
  /** What the messages of all produce streams may cost that are not answered. */
  readonly unansweredBudget: ByteBudget;
}

/** A reader can come again at no cost: it is not kept waiting longer than this for a leader, in milliseconds. */
const readPatienceMs = 2000;

/** Pauses of a call that only reads. */
export function readPauses({ table, runtime }: LogContext, call: CallContext): Pauses {
  const endsAt = runtime.clock.monotonicMs() + readPatienceMs;
  return createPauses(table, runtime, {
    signal: call.signal,
    remainingMs: () => {
      const left = endsAt - runtime.clock.monotonicMs();
      return Math.min(left, call.timeoutMs() ?? left);
    },
  });
}

/**
 * How a call goes on: with its deadline, its cancellation and its trace, or the trace that is given instead. Where it was
 * recorded there, the caller is told.
 */
export function passOn(call: CallContext, trace: TraceHeaders = call): CallOptions {
  const { traceparent, tracestate } = trace;
  const timeoutMs = call.timeoutMs();
  return {
    signal: call.signal,
    onTrailers(trailers) {
      const traceId = trailers.get(traceIdTrailer);
      if (traceId !== undefined) call.setTrailer(traceIdTrailer, traceId);
    },
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(tracestate === undefined ? {} : { tracestate }),
  };
}

/** What this gateway cancelled because its caller's time was up, or because it stops, fails for that reason. */
export function asCallerSees<Failure>(error: Failure, { signal }: CallContext): Failure | TidemarkError {
  const cause: unknown = signal.reason;
  const isOurs = error instanceof TidemarkError && error.reason === Reason.CANCELLED;
  return isOurs && cause instanceof TidemarkError ? withOutcome(cause, error.outcome) : error;
}
