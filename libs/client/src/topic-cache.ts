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
  /** What is known already, without waiting; undefined before the first answer. An old answer is asked for anew. */
  known(topic: string): TopicFacts | undefined;
  /** The next `describe` asks: an answer turned out wrong. */
  forget(topic: string): void;
}

/** Partitions are only ever added, so an old answer is usable for a while. */
const freshMs = 60_000;

export function createTopicCache(ask: (topic: string) => Promise<TopicFacts>, clock: Clock): TopicCache {
  const answers = new Map<string, { readonly facts: TopicFacts; readonly at: number }>();
  const asked = new Map<string, Promise<TopicFacts>>();

  const askOnce = (topic: string): Promise<TopicFacts> => {
    const running = asked.get(topic);
    if (running !== undefined) return running;
    const question = ask(topic)
      .then((facts) => {
        answers.set(topic, { facts, at: clock.monotonicMs() });
        return facts;
      })
      .finally(() => asked.delete(topic));
    asked.set(topic, question);
    return question;
  };

  const isFresh = (at: number): boolean => clock.monotonicMs() - at < freshMs;

  return {
    async describe(topic) {
      const answer = answers.get(topic);
      return answer !== undefined && isFresh(answer.at) ? answer.facts : askOnce(topic);
    },
    known(topic) {
      const answer = answers.get(topic);
      // The old answer serves until there is a new one; that it cannot be had now is met by whoever sends.
      if (answer !== undefined && !isFresh(answer.at)) askOnce(topic).catch(() => undefined);
      return answer?.facts;
    },
    forget: (topic) => {
      answers.delete(topic);
    },
  };
}
