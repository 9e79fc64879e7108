import type { TidemarkError } from "../errors/tidemark-error.ts";

/**
 * One side of a call without iterables: no promise a message. Both sides of a call have one; what is said here of
 * "the peer" holds either way.
 */
export interface RawStream<Out> {
  /**
   * Queues one message; the caller goes on at once. False means that more than the high water waits to be sent: stop
   * and go on at `onDrain`. Who does not stop runs into the budget of bytes queued, and the call ends with
   * REASON_RESOURCE_EXHAUSTED. After the end of the call it does nothing and returns false. Big bytes fields are not
   * copied: they must not change until they have left.
   */
  write(message: Out): boolean;
  /** Bytes accepted by `write` that have not left this process, and what the messages cost beside. */
  bytesQueued(): number;
  /** No `onMessage` until `resume`, except for at most one message that is on its way up. The peer is held back. */
  readonly pause: () => void;
  readonly resume: () => void;
  /**
   * Server: ends the call, with an error or well. Client: without an error says that nothing more will be written and
   * lets the answers come; with one it cancels the call.
   */
  end(error?: TidemarkError): void;
}

/** What a side of a call is told. All in the order of the wire; `onClose` once and last. */
export interface RawListener<In> {
  onMessage(message: In): void;
  /** The peer writes no more. A client is told by `onClose` alone. */
  onEnd?(): void;
  /** After `write` returned false: the queue is below half of the high water. */
  onDrain?(): void;
  /** Server only: the process is stopping. Absent: the call ends at once with REASON_SHUTTING_DOWN. */
  onStop?(): void;
  /** The call is over. Undefined: it ended well. */
  onClose?(error: TidemarkError | undefined): void;
}
