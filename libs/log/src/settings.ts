/** What the topic and the broker configure of one log. Sizes in bytes, times in milliseconds. */
export interface LogSettings {
  /** `segment.bytes`: a segment rolls before it grows beyond this. At most 2 GiB - 1. */
  readonly segmentBytes: number;
  /** `segment.ms`: a segment rolls when the times of its first and its next batch are further apart than this. */
  readonly segmentMs: number;
  /** `index.interval.bytes`: an index entry is made for each so many bytes of log. */
  readonly indexIntervalBytes: number;
  /** `segment.index.bytes`: a segment rolls when its index is full. */
  readonly indexBytes: number;
  /** `flush`: what an append waits for. */
  readonly flush: "sync" | "async";
  /** Offsets may be missing between batches, as compaction leaves them: the log of a compacted topic. */
  readonly gaps: boolean;
  /** Whether `cleanup.policy` has delete: then the two that follow are kept to. */
  readonly deletes: boolean;
  /** `retention.ms`: segments whose records are all older go. -1: none for their age. */
  readonly retentionMs: number;
  /** `retention.bytes`: the oldest segments go while the others hold this much. -1: none for their size. */
  readonly retentionBytes: number;
  /** What compaction goes by, if `cleanup.policy` has compact. */
  readonly compaction: CompactionSettings | undefined;
  /** `log.flush.offset.checkpoint.interval.ms`: the noted offsets are themselves flushed this often. */
  readonly noteSyncMs: number;
}

export interface CompactionSettings {
  /** `min.cleanable.dirty.ratio`, 0 to 1: how much of what may be compacted is new before a round is worth it. */
  readonly minDirtyRatio: number;
  /** `min.compaction.lag.ms`: records stay as they are for so long. */
  readonly minLagMs: number;
  /** `delete.retention.ms`: delete markers stay for so long after they were first compacted. */
  readonly deleteRetentionMs: number;
  /** `log.cleaner.dedupe.buffer.size`: memory for keys, of which each takes 24 bytes; producers take an eighth more. */
  readonly mapBytes: number;
}

export const defaultCompactionSettings: CompactionSettings = {
  minDirtyRatio: 0.5,
  minLagMs: 0,
  deleteRetentionMs: 24 * 60 * 60 * 1000,
  mapBytes: 16 * 1024 * 1024,
};

export const defaultLogSettings: LogSettings = {
  segmentBytes: 1024 * 1024 * 1024,
  segmentMs: 7 * 24 * 60 * 60 * 1000,
  indexIntervalBytes: 4096,
  indexBytes: 10 * 1024 * 1024,
  flush: "sync",
  gaps: false,
  deletes: true,
  retentionMs: 7 * 24 * 60 * 60 * 1000,
  retentionBytes: -1,
  compaction: undefined,
  noteSyncMs: 1000,
};

/** Positions in a segment are 32-bit in its index, and the sizes of Kafka's segments are signed. */
export const segmentBytesMax = 2 ** 31 - 1;
