import { create } from "@bufbuild/protobuf";
import { type FetchedPartition, type FetchPartition, FetchPartitionSchema } from "@tidemark/proto/log/v1";
import { iterateBatches } from "@tidemark/record";
import type { TidemarkError } from "@tidemark/rpc";
import type { RoutedPartition } from "../../routing/route-table.ts";

/** How far one partition of a subscription is. All of it can be told from what was handed out: nothing is lost with it. */
export interface FollowedPartition {
  readonly partition: RoutedPartition;
  /** The offset to go on from. */
  offset: bigint;
  /** The newest leader epoch that was seen: an older leader refuses (R1). */
  leaderEpoch: number | undefined;
  /** Leader epoch of the last record that was handed out, or that the caller says it has. */
  lastReadLeaderEpoch: number | undefined;
  /** Whether the caller was told that it has everything, and nothing came since. */
  isCaughtUp: boolean;
  /** What is known of its failing since the last success. Undefined: nothing. */
  failing: Failing | undefined;
  /** Ends the call that follows it at a leader. Undefined: nobody follows it. */
  following: AbortController | undefined;
  /** Leader epoch of the route that was followed last. */
  routedEpoch: number | undefined;
}

export interface Failing {
  readonly error: TidemarkError;
  readonly failures: number;
  readonly sinceMs: number;
  /** Not followed before, on the monotonic clock, unless a newer leader becomes known. */
  readonly retryAtMs: number;
  /** Whether the caller was told. */
  isTold: boolean;
}

/** The partition as a leader is asked for it. */
export function askFor({ partition, offset, leaderEpoch, lastReadLeaderEpoch }: FollowedPartition): FetchPartition {
  return create(FetchPartitionSchema, {
    partition: partition.partition,
    start: { case: "offset", value: offset },
    ...(leaderEpoch === undefined ? {} : { leaderEpoch }),
    ...(lastReadLeaderEpoch === undefined ? {} : { lastReadLeaderEpoch }),
  });
}

/** Moves on behind what a leader handed out. */
export function moveOn(state: FollowedPartition, fetched: FetchedPartition): void {
  state.offset = fetched.nextOffset;
  state.leaderEpoch = Math.max(state.leaderEpoch ?? 0, fetched.leaderEpoch);
  state.lastReadLeaderEpoch = lastLeaderEpochOf(fetched) ?? state.lastReadLeaderEpoch;
  state.isCaughtUp = false;
  state.failing = undefined;
}

/** Leader epoch of the last record. Undefined where there are none. */
function lastLeaderEpochOf({ records, batches }: FetchedPartition): number | undefined {
  const last = records.at(-1);
  if (last !== undefined) return last.leaderEpoch;
  let leaderEpoch: number | undefined;
  for (const step of iterateBatches(batches)) if (step.kind === "ok") leaderEpoch = step.header.leaderEpoch;
  return leaderEpoch;
}
