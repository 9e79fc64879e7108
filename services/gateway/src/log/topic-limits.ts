import { parseTopicSettings } from "@tidemark/config";
import type { Topic } from "@tidemark/metadata";

/** The largest batch of a topic in bytes: its own max.message.bytes, or what the gateway was configured with. */
export function createTopicLimits(batchBytesMax: number): (topic: Topic) => number {
  /** Topics of an image are values: a changed topic is another object. */
  const known = new WeakMap<Topic, number>();
  return (topic) => {
    let limit = known.get(topic);
    if (limit === undefined) {
      const parsed = parseTopicSettings(Object.fromEntries(topic.settings));
      limit = (parsed.ok ? parsed.settings["max.message.bytes"] : undefined) ?? batchBytesMax;
      known.set(topic, limit);
    }
    return limit;
  };
}
