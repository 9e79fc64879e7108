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
  /** `log.flush.offset.checkpoint.interval.ms`: the noted offsets are themselves flushed this often. */
  readonly noteSyncMs: number;
}

export const defaultLogSettings: LogSettings = {
  segmentBytes: 1024 * 1024 * 1024,
  segmentMs: 7 * 24 * 60 * 60 * 1000,
  indexIntervalBytes: 4096,
  indexBytes: 10 * 1024 * 1024,
  flush: "sync",
  gaps: false,
  noteSyncMs: 1000,
};

/** Positions in a segment are 32-bit in its index, and the sizes of Kafka's segments are signed. */
export const segmentBytesMax = 2 ** 31 - 1;
