import { delay } from "@tidemark/runtime";
import type { Connection } from "../connection.ts";
import type { TopicFacts } from "../topic-cache.ts";
import type { Patience } from "./offsets.ts";
import { bear, type PartitionState } from "./partition-state.ts";

/**
 * The facts about a topic as they are now, asked for until somebody knows them. Throws an error that will not pass by
 * itself.
 */
export async function describeTopic(
  { topics, runtime }: Connection,
  topic: string,
  { retryTimeoutMs, signal }: Patience,
): Promise<TopicFacts> {
  const failure: Pick<PartitionState, "failing"> = { failing: undefined };
  for (;;) {
    try {
      return await topics.ask(topic);
    } catch (error) {
      bear(failure, error, runtime, retryTimeoutMs);
    }
    await delay(runtime.scheduler, (failure.failing?.retryAtMs ?? 0) - runtime.clock.monotonicMs(), signal);
  }
}
