/** What bounds the memory and the messages of replica streams. */
import type { Keepalive } from "@tidemark/rpc";

const KiB = 1024;
const MiB = 1024 * KiB;

/** Both ends keep to these; tests and measurements set others. */
export interface StreamLimits {
  /** Bytes of batches in one message, about: an answer that is larger comes in pieces. */
  readonly messageBytes: number;
  /** Bytes that one answer gives to one partition at most; its first batch always passes. */
  readonly answerBytes: number;
  /** Below this the credit is not shared among the partitions that are ready: some of them wait instead. */
  readonly shareBytesMin: number;
  /** Bytes that a follower lets one stream's leader have under way. */
  readonly creditBytes: number;
  /**
   * Bytes of one partition that may have come and not be written yet: beyond it the partition is not fetched. So a disk
   * that hangs holds up the partitions on it, and not those on others that share the stream.
   */
  readonly unwrittenBytes: number;
  /** The same of all partitions of a stream: beyond it the leader gets no credit before something is written. */
  readonly unwrittenBytesOfAll: number;
  /** Answers of one stream that are being read from logs at once. */
  readonly readsMax: number;
  /** Bytes that were read and wait for their follower; beyond it nothing more is read for it. */
  readonly outboxBytes: number;
}

export const defaultStreamLimits: StreamLimits = Object.freeze({
  messageBytes: 256 * KiB,
  answerBytes: MiB,
  shareBytesMin: 64 * KiB,
  creditBytes: 8 * MiB,
  unwrittenBytes: 2 * MiB,
  unwrittenBytesOfAll: 64 * MiB,
  readsMax: 4,
  outboxBytes: MiB,
});

/**
 * How a follower finds out that its leader's machine is gone though the connection stands: well within
 * `replica.lag.time.max.ms`, so that a link that was silent for a moment costs no place in the ISR.
 */
export const replicaKeepalive: Keepalive = { timeMs: 2000, timeoutMs: 3000 };
/** Credit of a stream whose first message names none, in bytes. */
export const creditDefaultBytes = MiB;
/** More credit than this counts as this, in bytes. */
export const creditMaxBytes = 64 * MiB;
/** How long a fetch waits where its stream does not say, in milliseconds. */
export const waitDefaultMs = 500;
/** The longest wait that a stream may ask for, in milliseconds. */
export const waitMaxMs = 60_000;
/** Partitions that one stream may name. */
export const partitionsMax = 100_000;
/** Replicas that one unary call may ask about. */
export const questionsMax = 10_000;
/** The largest answer that a follower takes, in bytes: the largest that `message.max.bytes` may be. */
export const answerMaxBytes = 2 ** 30;
