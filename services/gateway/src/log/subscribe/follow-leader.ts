import type { SubscribeRequest, SubscribeResponse } from "@tidemark/proto/log/v1";
import { type CallOptions, fromErrorDetail, TidemarkError } from "@tidemark/rpc";
import type { LogClient } from "../../routing/leaders.ts";
import { askFor, type FollowedPartition, moveOn } from "./followed-partition.ts";

/** What came of one partition, to be told the caller. */
export type Told = Extract<SubscribeResponse["frame"], { readonly case: "data" | "caughtUp" | "truncated" }>;

export interface LeaderListener {
  /** Resolves when the caller took it: nothing more is read before. False: nobody takes any more. */
  tell(state: FollowedPartition, frame: Told): Promise<boolean>;
  failed(state: FollowedPartition, error: TidemarkError): void;
}

/** Bytes that one leader may send ahead of a caller that does not read. */
export const aheadBytesMax = 1024 * 1024;

/**
 * Follows some partitions at one leader, until it has sent what may be sent ahead of a slow caller, or they cannot be
 * followed there any more. Whoever calls again goes on where it ended. Failures are told, never thrown.
 */
export async function followLeader(
  client: Pick<LogClient, "subscribe">,
  states: readonly FollowedPartition[],
  {
    request,
    options,
    listener,
  }: {
    readonly request: Pick<SubscribeRequest, "topic" | "topicId" | "format" | "maxBytes" | "creditRecords">;
    readonly options: CallOptions & { readonly signal: AbortSignal };
    readonly listener: LeaderListener;
  },
): Promise<void> {
  const open = new Map(states.map((state) => [state.partition.partition, state]));
  const fail = (state: FollowedPartition, error: TidemarkError) => {
    open.delete(state.partition.partition);
    listener.failed(state, error);
  };
  const partitions = states.map(askFor);
  try {
    const frames = client.subscribe({ ...request, partitions, creditBytes: BigInt(aheadBytesMax) }, options);
    for await (const { frame } of frames) {
      if (frame.case === "assigned" || frame.case === "leaderChanged" || frame.case === undefined) continue;
      const state = open.get(frame.value.partition);
      if (state === undefined) continue;
      if (frame.case === "data" && frame.value.error !== undefined) {
        fail(state, fromErrorDetail(frame.value.error, frame.value.message));
        continue;
      }
      if (!isNews(state, frame)) continue;
      if (!(await listener.tell(state, frame))) return;
    }
  } catch (error) {
    // Ended from this side, because the leader is another one now or nobody reads any more.
    if (options.signal.aborted) return;
    if (!(error instanceof TidemarkError)) throw error;
    for (const state of open.values()) fail(state, error);
  }
}

/** Notes what a frame says of the partition. False where the caller was told before. */
function isNews(state: FollowedPartition, frame: Told): boolean {
  switch (frame.case) {
    case "data":
      moveOn(state, frame.value);
      return true;
    case "truncated":
      if (frame.value.divergence !== undefined) {
        const { offset, leaderEpoch } = frame.value.divergence;
        state.offset = offset;
        // Negative where the logs have no leader epoch in common: then no record is left whose place could be checked.
        state.lastReadLeaderEpoch = leaderEpoch < 0 ? undefined : leaderEpoch;
      }
      state.isCaughtUp = false;
      return true;
    case "caughtUp": {
      const wasCaughtUp = state.isCaughtUp;
      state.isCaughtUp = true;
      state.failing = undefined;
      return !wasCaughtUp;
    }
  }
}
