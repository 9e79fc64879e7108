/**
 * When the steps of one sampled append happened, on the monotonic clock in milliseconds. Filled in on the way and only
 * made where somebody records it.
 */
export interface Timeline {
  appendedMs: number;
  writtenMs: number | undefined;
  flushedMs: number | undefined;
}
