import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { Acks } from "@tidemark/proto/log/v1";
import { TidemarkError, withOutcome } from "@tidemark/rpc";
import type { Clock, Scheduler } from "@tidemark/runtime";
import type { AckLevel, CheckedBatches, Partition, ProduceOutcome } from "../partition/partition.ts";
import type { ProduceTracer, TracedProduce } from "./produce-trace.ts";

/** What is appended, and how its answer is waited for. */
export interface AppendRequest {
  readonly partition: Partition;
  readonly batches: CheckedBatches;
  readonly acks: Acks;
  /** Milliseconds until the answer has to be given. Undefined: no limit. */
  readonly timeoutMs: number | undefined;
  readonly traced: TracedProduce | undefined;
}

export interface Appender {
  /** Appends and tells the outcome once: during the call where it is known at once, as with acks none. */
  append(request: AppendRequest, settle: (outcome: ProduceOutcome) => void): void;
}

/** What is not stated is all; so is a number that this version does not know. */
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
}): Appender {
  return {
    append({ partition, batches, acks, timeoutMs, traced }, settle) {
      const level = ackLevel(acks);
      let isSettled = false;
      let cancelTimer: (() => void) | undefined;
      const finish = (outcome: ProduceOutcome) => {
        if (isSettled) return;
        isSettled = true;
        cancelTimer?.();
        if (traced !== undefined) of.tracer.finish(traced, { partition, batches, acks: level, outcome });
        settle(outcome);
      };
      const pending = partition.produce({ batches, acks: level, settle: finish, timeline: traced?.timeline });
      if (isSettled || timeoutMs === undefined) return;
      cancelTimer = of.scheduler.after(timeoutMs, () =>
        of.scheduler.afterInput(() => {
          if (isSettled) return;
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
