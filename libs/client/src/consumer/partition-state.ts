import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import type { Runtime } from "@tidemark/runtime";
import { backoffMs } from "../backoff.ts";

/** How far one partition was fetched and handed out, and what has failed since. */
export interface PartitionState {
  readonly partition: number;
  /** The offset to fetch next. */
  offset: bigint;
  /** The offset behind what the reader was given. */
  given: bigint;
  /** Where reading ends. Undefined: never. */
  end: bigint | undefined;
  /** The newest one that was seen: an older leader refuses (R1). */
  leaderEpoch: number | undefined;
  /** Leader epoch of the last record below `offset`: a leader that does not have that record says so (KIP-320). */
  lastReadLeaderEpoch: number | undefined;
  /** Counts jumps: what was fetched before one is not handed out after it. */
  jumps: number;
  /** Since the last success. Undefined: nothing. */
  failing: Failing | undefined;
}

/** Goes on from another offset. What was fetched ahead is thrown away. */
export function jump(state: PartitionState, offset: bigint): void {
  state.offset = offset;
  state.given = offset;
  state.lastReadLeaderEpoch = undefined;
  state.failing = undefined;
  state.jumps += 1;
}

interface Failing {
  readonly sinceMs: number;
  readonly failures: number;
  /** Not asked for before, on the monotonic clock. */
  readonly retryAtMs: number;
}

export function isAtEnd({ offset, end }: PartitionState): boolean {
  return end !== undefined && offset >= end;
}

/** A topic is not known everywhere at the moment it is made, nor to a process that has just started. */
const unknownTopicTimeoutMs = 10_000;

/** Reasons that pass by themselves where a topic is there at all. */
const unknownTopic: ReadonlySet<Reason> = new Set([Reason.UNKNOWN_TOPIC, Reason.UNKNOWN_TOPIC_ID]);

/**
 * Notes a failure, so that the partition is asked for again after a while. Throws it where it will not pass by itself,
 * or has not passed for `timeoutMs`.
 */
export function bear(
  state: Pick<PartitionState, "failing">,
  error: unknown,
  { clock, random }: Pick<Runtime, "clock" | "random">,
  timeoutMs: number,
): void {
  if (!(error instanceof TidemarkError)) throw error;
  const nowMs = clock.monotonicMs();
  const sinceMs = state.failing?.sinceMs ?? nowMs;
  const failures = (state.failing?.failures ?? 0) + 1;
  const patienceMs = unknownTopic.has(error.reason) ? Math.min(timeoutMs, unknownTopicTimeoutMs) : timeoutMs;
  if (!error.retriable || nowMs - sinceMs >= patienceMs) throw error;
  const waitMs = Math.max(backoffMs(failures, random), error.fields.retryAfterMs ?? 0);
  state.failing = { sinceMs, failures, retryAtMs: nowMs + waitMs };
}
