import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import { delay } from "@tidemark/runtime";
import { backoffMs } from "../backoff.ts";
import type { Connection } from "../connection.ts";
import { orAborted } from "../or-aborted.ts";

/** Records that wait until something is known of their topic. */
export interface TopicWaits {
  /**
   * Resolves when the topic is known, for all who wait for it in the order in which they came. Rejects with the last
   * failure where it lasts for longer than the patience or does not pass by itself, and with a signal's reason.
   */
  untilKnown(topic: string, signal: AbortSignal | undefined): Promise<void>;
}

export interface TopicWaitsOptions {
  readonly topics: Connection["topics"];
  readonly runtime: Connection["runtime"];
  readonly patienceMs: number;
  /** Aborted when nobody is to wait any more. */
  readonly ended: AbortSignal;
}

/** Questions about one topic, one after the other. All who wait share them, or a later one would overtake an earlier one. */
interface Questions {
  failures: number;
  /** Not asked before, on the monotonic clock. */
  askAtMs: number;
  running: Promise<void> | undefined;
}

export function createTopicWaits({ topics, runtime, patienceMs, ended }: TopicWaitsOptions): TopicWaits {
  const { clock, random, scheduler } = runtime;
  const asked = new Map<string, Questions>();

  const ask = async (topic: string, questions: Questions): Promise<void> => {
    const waitMs = questions.askAtMs - clock.monotonicMs();
    try {
      if (waitMs > 0) await delay(scheduler, waitMs, ended);
      await topics.describe(topic);
      asked.delete(topic);
    } catch (error) {
      questions.failures += 1;
      questions.askAtMs = clock.monotonicMs() + backoffMs(questions.failures, random);
      if (!passesByItself(error)) asked.delete(topic);
      throw error;
    } finally {
      questions.running = undefined;
    }
  };

  const answerOf = (topic: string): { readonly questions: Questions; readonly answer: Promise<void> } => {
    const questions = asked.get(topic) ?? { failures: 0, askAtMs: clock.monotonicMs(), running: undefined };
    asked.set(topic, questions);
    questions.running ??= ask(topic, questions);
    return { questions, answer: questions.running };
  };

  return {
    async untilKnown(topic, signal) {
      const untilMs = clock.monotonicMs() + patienceMs;
      for (;;) {
        ended.throwIfAborted();
        const { questions, answer } = answerOf(topic);
        try {
          return await orAborted(answer, signal);
        } catch (error) {
          if (signal?.aborted || !passesByItself(error) || questions.askAtMs >= untilMs) throw error;
        }
      }
    },
  };
}

/** Whether there is nobody to ask now. That nobody knows the topic is an answer. */
function passesByItself(error: unknown): boolean {
  return error instanceof TidemarkError && error.retriable && error.reason !== Reason.UNKNOWN_TOPIC;
}
