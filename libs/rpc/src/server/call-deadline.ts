import { Reason } from "@tidemark/proto/common/v1";
import type { Cancel, Clock, Scheduler } from "@tidemark/runtime";
import { TidemarkError } from "../errors/tidemark-error.ts";
import type { DeadlineRule } from "../wire/budgets.ts";

/** Kept back of the caller's time, so that an answer that says what is known arrives before the caller gives up. */
const ANSWER_MARGIN = { share: 0.05, minMs: 10, maxMs: 250 } as const;

/** Node's timers run at once when they are given more. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** How the time of a call is spent, in milliseconds from its start. */
export interface CallTimes {
  /** When the handler is told. Infinity: never. */
  readonly abortMs: number;
  /** When the call is answered for a handler that has not ended it by then. */
  readonly answerMs: number;
}

const NO_DEADLINE: CallTimes = { abortMs: Number.POSITIVE_INFINITY, answerMs: Number.POSITIVE_INFINITY };

/** `callerMs`: what the caller gives, Infinity for no deadline. More than a timer can wait is no deadline either. */
export function callTimes(callerMs: number, rule: DeadlineRule): CallTimes {
  const givenMs = callerMs === Number.POSITIVE_INFINITY ? rule.defaultMs : callerMs;
  const limitMs = Math.min(givenMs, rule.maxMs);
  if (limitMs > TIMER_MAX_MS) return NO_DEADLINE;
  const share = limitMs * ANSWER_MARGIN.share;
  const marginMs = Math.min(Math.max(share, ANSWER_MARGIN.minMs), ANSWER_MARGIN.maxMs, limitMs / 2);
  return { abortMs: limitMs - marginMs, answerMs: limitMs - marginMs / 2 };
}

/** Runs a call's deadline: `onAbort`, then `onAnswer`, both with the error that the call ends with. */
export function startDeadline(options: {
  readonly times: CallTimes;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly onAbort: (error: TidemarkError) => void;
  readonly onAnswer: (error: TidemarkError) => void;
}): { readonly cancel: Cancel; readonly remainingMs: () => number | undefined } {
  const { times, clock, scheduler } = options;
  if (times.abortMs === Number.POSITIVE_INFINITY) return { cancel: () => undefined, remainingMs: () => undefined };
  const startedAt = clock.monotonicMs();
  const remainingMs = () => Math.max(0, startedAt + times.abortMs - clock.monotonicMs());
  let cancel = scheduler.after(times.abortMs, () => {
    const error = new TidemarkError({
      reason: Reason.DEADLINE_EXCEEDED,
      message: `The call took longer than the ${Math.round(times.abortMs)} ms that its deadline left to the server.`,
    });
    options.onAbort(error);
    cancel = scheduler.after(times.answerMs - times.abortMs, () => options.onAnswer(error));
  });
  return { cancel: () => cancel(), remainingMs };
}
