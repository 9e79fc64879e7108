import type { brokerSchema, TopicSettings, Values } from "@tidemark/config";
import { defaultCompactionSettings, defaultLogSettings, type LogSettings } from "@tidemark/log";

/** The broker's own settings of what is kept of a log. One that is not there is as `defaultLogSettings` says. */
export type KeepingDefaults = Partial<
  Pick<
    Values<(typeof brokerSchema)["settings"]>,
    | "log.cleanup.policy"
    | "log.retention.ms"
    | "log.retention.bytes"
    | "log.cleaner.dedupe.buffer.size"
    | "log.cleaner.min.cleanable.ratio"
    | "log.cleaner.min.compaction.lag.ms"
    | "log.cleaner.delete.retention.ms"
  >
>;

/** What the settings of a topic, over those of its broker, say of what is kept of its logs (L7). */
export function keepingSettings(
  own: Partial<TopicSettings>,
  defaults: KeepingDefaults,
): Pick<LogSettings, "deletes" | "retentionMs" | "retentionBytes" | "gaps" | "compaction"> {
  const policy = own["cleanup.policy"] ?? defaults["log.cleanup.policy"] ?? ["delete"];
  const compacts = policy.includes("compact");
  const otherwise = defaultCompactionSettings;
  return {
    deletes: policy.includes("delete"),
    retentionMs: own["retention.ms"] ?? defaults["log.retention.ms"] ?? defaultLogSettings.retentionMs,
    retentionBytes: own["retention.bytes"] ?? defaults["log.retention.bytes"] ?? defaultLogSettings.retentionBytes,
    gaps: compacts,
    compaction: compacts
      ? {
          minDirtyRatio:
            own["min.cleanable.dirty.ratio"] ?? defaults["log.cleaner.min.cleanable.ratio"] ?? otherwise.minDirtyRatio,
          minLagMs: own["min.compaction.lag.ms"] ?? defaults["log.cleaner.min.compaction.lag.ms"] ?? otherwise.minLagMs,
          deleteRetentionMs:
            own["delete.retention.ms"] ?? defaults["log.cleaner.delete.retention.ms"] ?? otherwise.deleteRetentionMs,
          mapBytes: defaults["log.cleaner.dedupe.buffer.size"] ?? otherwise.mapBytes,
        }
      : undefined,
  };
}
