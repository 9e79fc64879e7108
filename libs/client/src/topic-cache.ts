import type { Clock } from "@tidemark/runtime";

/** What a client has to know of a topic. */
export interface TopicFacts {
  /** Tells a topic from another one that was made later under the same name. */
  readonly topicId: string;
  /** Count of partitions, 1 or more. */
  readonly partitions: number;
}

/** Facts about topics: asked for when first needed, and again from time to time, since partitions may be added. */
export interface TopicCache {
  /** Fails as the question fails: with REASON_UNKNOWN_TOPIC where there is no such topic. */
  describe(topic: string): Promise<TopicFacts>;
  /** The same, asked for now: the topic may have been made anew under its name since it was asked for last. */
  ask(topic: string): Promise<TopicFacts>;
  /**
   * What is known already, without waiting; undefined before the first answer. An old answer is asked for anew, and where
   * that fails again after a while.
   */
  known(topic: string): TopicFacts | undefined;
  /** Something changed, such as a leader: what is known is asked for anew soon, and then less and less often. */
  doubt(topic: string): void;
}

/** Partitions are only ever added, so an old answer is usable for a while, in milliseconds. */
const freshMsMax = 60_000;
/** How long the first answer is good for after a doubt: an election takes its time. */
const freshMsInDoubt = 2000;
/** How long `known` does not ask again after a question that failed, in milliseconds: it is called for every record. */
const pauseMs = 1000;

interface Answer {
  readonly facts: TopicFacts;
  readonly at: number;
  readonly freshMs: number;
}

export function createTopicCache(ask: (topic: string) => Promise<TopicFacts>, clock: Clock): TopicCache {
  const answers = new Map<string, Answer>();
  const asked = new Map<string, Promise<TopicFacts>>();
  /** When a question failed last, of topics that an answer is there of. */
  const failedAt = new Map<string, number>();

  const askOnce = (topic: string): Promise<TopicFacts> => {
    const running = asked.get(topic);
    if (running !== undefined) return running;
    const question = ask(topic)
      .then((facts) => {
        const freshMs = Math.min(freshMsMax, 2 * (answers.get(topic)?.freshMs ?? freshMsMax));
        answers.set(topic, { facts, at: clock.monotonicMs(), freshMs });
        failedAt.delete(topic);
        return facts;
      })
      .catch((error: unknown) => {
        if (answers.has(topic)) failedAt.set(topic, clock.monotonicMs());
        throw error;
      })
      .finally(() => asked.delete(topic));
    asked.set(topic, question);
    return question;
  };

  const isPausing = (topic: string): boolean =>
    clock.monotonicMs() - (failedAt.get(topic) ?? Number.NEGATIVE_INFINITY) < pauseMs;

  const isFresh = ({ at, freshMs }: Answer): boolean => clock.monotonicMs() - at < freshMs;

  return {
    ask: askOnce,
    async describe(topic) {
      const answer = answers.get(topic);
      return answer !== undefined && isFresh(answer) ? answer.facts : askOnce(topic);
    },
    known(topic) {
      const answer = answers.get(topic);
      // The old answer serves until there is a new one; that it cannot be had now is met by whoever sends.
      if (answer !== undefined && !isFresh(answer) && !isPausing(topic)) askOnce(topic).catch(() => undefined);
      return answer?.facts;
    },
    doubt(topic) {
      const answer = answers.get(topic);
      // One doubt after another must not put the question off for ever.
      if (answer === undefined || answer.freshMs <= freshMsInDoubt) return;
      answers.set(topic, { ...answer, at: clock.monotonicMs(), freshMs: freshMsInDoubt });
    },
  };
}
