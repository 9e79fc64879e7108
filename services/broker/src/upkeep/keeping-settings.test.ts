import { describe, expect, it } from "vitest";
import { keepingSettings } from "./keeping-settings.ts";

describe("what is kept of a log", () => {
  it("is what the topic says, before what its broker says", () => {
    const own = {
      "cleanup.policy": ["compact", "delete"],
      "retention.ms": 5,
      "retention.bytes": 6,
      "min.cleanable.dirty.ratio": 0.1,
      "min.compaction.lag.ms": 7,
      "delete.retention.ms": 8,
    } as const;
    const defaults = {
      "log.cleanup.policy": ["delete"],
      "log.retention.ms": 50,
      "log.retention.bytes": 60,
      "log.cleaner.min.cleanable.ratio": 0.9,
      "log.cleaner.min.compaction.lag.ms": 70,
      "log.cleaner.delete.retention.ms": 80,
      "log.cleaner.dedupe.buffer.size": 90,
    } as const;
    expect(keepingSettings(own, defaults)).toEqual({
      deletes: true,
      retentionMs: 5,
      retentionBytes: 6,
      gaps: true,
      compaction: { minDirtyRatio: 0.1, minLagMs: 7, deleteRetentionMs: 8, mapBytes: 90 },
    });
    expect(keepingSettings({ "cleanup.policy": ["compact"] }, defaults)).toEqual({
      deletes: false,
      retentionMs: 50,
      retentionBytes: 60,
      gaps: true,
      compaction: { minDirtyRatio: 0.9, minLagMs: 70, deleteRetentionMs: 80, mapBytes: 90 },
    });
  });

  it("is Kafka's default where nobody says anything: a week, and no compaction", () => {
    expect(keepingSettings({}, {})).toEqual({
      deletes: true,
      retentionMs: 7 * 24 * 60 * 60 * 1000,
      retentionBytes: -1,
      gaps: false,
      compaction: undefined,
    });
  });
});
