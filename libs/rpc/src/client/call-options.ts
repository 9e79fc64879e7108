import type { CallMetadata, MetadataInit } from "../wire/call-metadata.ts";

/** What a caller may say of one call. */
export interface CallOptions {
  /** Aborting it cancels the call, which then fails with REASON_CANCELLED; the signal's reason is the error's cause. */
  readonly signal?: AbortSignal;
  /**
   * Milliseconds from now. Absent: the channel's default for calls with one answer, none for streams. Infinity: none.
   */
  readonly timeoutMs?: number;
  /** Waits for a connection until the deadline, instead of failing when there is none. */
  readonly waitForReady?: boolean;
  /** W3C trace context to send along. */
  readonly traceparent?: string;
  readonly tracestate?: string;
  /** Headers to send along. Keys are lower case. */
  readonly metadata?: MetadataInit;
  /** Told of the trailers when the call is over. */
  readonly onTrailers?: (trailers: CallMetadata) => void;
}
