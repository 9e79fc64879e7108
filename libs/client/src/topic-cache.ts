import type { Clock } from "@tidemark/runtime";

/** How many partitions each topic has, asked for when it is first needed and again from time to time. */
export interface TopicCache {
  /** Fails as the question fails: with REASON_UNKNOWN_TOPIC where there is no such topic. */
  partitions(topic: string): Promise<number>;
  /** The answer that is known already; undefined where there is none that is fresh. */
  known(topic: string): number | undefined;
  /** To be asked anew: an answer turned out wrong. */
  forget(topic: string): void;
}

/** Partitions are only ever added, so an old answer is usable for a while. */
const freshMs = 60_000;

export function createTopicCache(ask: (topic: string) => Promise<number>, clock: Clock): TopicCache {
  const answers = new Map<string, { readonly partitions: number; readonly at: number }>();
  const asked = new Map<string, Promise<number>>();

  const known = (topic: string): number | undefined => {
    const answer = answers.get(topic);
    return answer !== undefined && clock.monotonicMs() - answer.at < freshMs ? answer.partitions : undefined;
  };

  const askOnce = (topic: string): Promise<number> => {
    const running = asked.get(topic);
    if (running !== undefined) return running;
    const question = ask(topic)
      .then((partitions) => {
        answers.set(topic, { partitions, at: clock.monotonicMs() });
        return partitions;
      })
      .finally(() => asked.delete(topic));
    asked.set(topic, question);
    return question;
  };

  return {
    known,
    partitions: async (topic) => known(topic) ?? askOnce(topic),
    forget: (topic) => {
      answers.delete(topic);
    },
  };
}
