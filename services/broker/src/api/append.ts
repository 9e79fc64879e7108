import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { Acks } from "@tidemark/proto/log/v1";
import type { Acks as AckLevel } from "@tidemark/replication";
import { TidemarkError, withOutcome } from "@tidemark/rpc";
import type { Cancel, Clock, Scheduler } from "@tidemark/runtime";
import type { TraceContext } from "@tidemark/telemetry";
import type { BrokerMetrics } from "../metrics/broker-metrics.ts";
import type { CheckedBatches, Partition, ProduceOutcome } from "../partition/partition.ts";
import type { ProduceTracer, TraceCarrier, TracedProduce } from "./produce-trace.ts";

/** What is appended, and how its answer is waited for. */
export interface AppendRequest {
  readonly partition: Partition;
  readonly batches: CheckedBatches;
  readonly acks: Acks;
  /** Milliseconds until the answer has to be given. Undefined: no limit. */
  readonly timeoutMs: number | undefined;
  /**
   * Whether the answer has to come when the time is over, and not at the broker's next tick: somebody's call ends then.
   * Costs a timer.
   */
  readonly isPunctual: boolean;
  readonly caller: TraceCarrier;
  readonly traced: TracedProduce | undefined;
}

/** `trace`: the span in which it was recorded. Undefined where it was not. */
export type SettleAppend = (outcome: ProduceOutcome, trace: TraceContext | undefined) => void;

export interface Appender {
  /** Appends and tells the outcome once: during the call where it is known at once, as with acks none. */
  append(request: AppendRequest, settle: SettleAppend): void;
}

/** An append that waits for its acks. */
interface Wait {
  isSettled: boolean;
  cancelTimer: Cancel | undefined;
}

/** What is not stated is all. A number that is not known was refused before. */
export function ackLevel(acks: Acks): AckLevel {
  switch (acks) {
    case Acks.NONE:
      return "none";
    case Acks.LEADER:
      return "leader";
    default:
      return "all";
  }
}

export function createAppender(of: {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly tracer: ProduceTracer;
  readonly metrics: Pick<BrokerMetrics, "produced">;
}): Appender {
  return {
    append({ partition, batches, acks, timeoutMs, isPunctual, caller, traced }, settle) {
      const level = ackLevel(acks);
      const startMs = of.clock.monotonicMs();
      const wait: Wait = { isSettled: false, cancelTimer: undefined };
      const finish = (outcome: ProduceOutcome) => {
        if (wait.isSettled) return;
        wait.isSettled = true;
        wait.cancelTimer?.();
        const trace = traced?.span.context ?? recordFailure(outcome);
        if (traced !== undefined) of.tracer.finish(traced, { partition, batches, acks: level, outcome });
        of.metrics.produced({ batches, acks: level, outcome, ms: of.clock.monotonicMs() - startMs, trace });
        settle(outcome, trace);
      };
      const recordFailure = (outcome: ProduceOutcome) => {
        if (outcome.kind !== "failed") return undefined;
        const { topic, index } = partition;
        const appended = { batches, acks: level };
        return of.tracer.fail(caller, { topic, partition: index, error: outcome.error, startMs, appended });
      };
      const deadlineMs = timeoutMs === undefined ? Number.POSITIVE_INFINITY : startMs + timeoutMs;
      const pending = partition.produce({
        batches,
        acks: level,
        deadlineMs,
        settle: finish,
        timeline: traced?.timeline,
      });
      if (wait.isSettled || timeoutMs === undefined || !isPunctual) return;
      wait.cancelTimer = of.scheduler.after(timeoutMs, () =>
        // An ack that has come in meanwhile is taken first.
        of.scheduler.afterInput(() => {
          if (wait.isSettled) return;
          pending.abandon();
          finish({ kind: "failed", error: timedOut(partition, pending.baseOffset, timeoutMs) });
        }),
      );
    },
  };
}

function timedOut(partition: Partition, baseOffset: bigint | undefined, timeoutMs: number): TidemarkError {
  const error = new TidemarkError({
    reason: Reason.DEADLINE_EXCEEDED,
    message:
      `Appended to ${partition.topic}-${partition.index} and not acknowledged within ${Math.round(timeoutMs)} ms: ` +
      "whether it will be committed is not known",
    topic: partition.topic,
    partition: partition.index,
    ...(baseOffset === undefined ? {} : { baseOffset }),
  });
  return withOutcome(error, Outcome.UNKNOWN);
}
