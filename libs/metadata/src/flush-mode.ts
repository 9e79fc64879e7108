import type { KnownBroker, Topic } from "./model.ts";

/**
 * Whether `flush=async` may have been in force for what a broker's replica of this topic holds. A topic that was
 * asynchronous once counts for ever: its setting may have changed a moment before the crash that is judged.
 */
export function mayHaveFlushedAsync(topic: Topic, broker: Pick<KnownBroker, "flushAsync">): boolean {
  return topic.wasAsync === true || flushesAsync(topic.settings, broker);
}

/** Whether a topic's records count before they are flushed: by its own setting, or else its broker's. */
function flushesAsync(settings: ReadonlyMap<string, string>, broker: Pick<KnownBroker, "flushAsync">): boolean {
  const own = settings.get("flush");
  return own === undefined ? broker.flushAsync : own === "async";
}
