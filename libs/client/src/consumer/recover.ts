import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import { jump, type PartitionState } from "./partition-state.ts";

/**
 * What a consumer met that its reader may have to know of.
 *
 * | kind       | means                                                                                                |
 * |------------|------------------------------------------------------------------------------------------------------|
 * | truncated  | records that the reader was given, from `offset` on, were cut from the log by an unclean election    |
 * | outOfRange | `offset` is not in the log: retention or deletion took it, or it was never there                     |
 *
 * `resumesAt`: where reading goes on. Undefined: it ends with the error.
 */
export type ConsumerEvent =
  | {
      readonly kind: "truncated";
      readonly partition: number;
      /** The first offset at which the log is another one than the reader was given. */
      readonly offset: bigint;
      /** Behind the last record that the reader was given. */
      readonly given: bigint;
      readonly resumesAt: bigint | undefined;
    }
  | {
      readonly kind: "outOfRange";
      readonly partition: number;
      readonly offset: bigint;
      /** First offset that exists, and the first that is not committed. */
      readonly logStart: bigint | undefined;
      readonly highWatermark: bigint | undefined;
      readonly resumesAt: bigint | undefined;
    };

/** Where to go on where an offset is not there: Kafka's `auto.offset.reset`. `fail`: with an error. */
export type OffsetReset = "earliest" | "latest" | "fail";

/** True where the error is one that reading goes on after; the state has moved then. */
export type Recover = (state: PartitionState, error: unknown) => boolean;

export function createRecover(offsetReset: OffsetReset, onEvent: (event: ConsumerEvent) => void): Recover {
  const truncated = (state: PartitionState, divergence: { readonly offset: bigint; readonly leaderEpoch: number }) => {
    const { partition, given } = state;
    const { offset } = divergence;
    // What was fetched ahead and not handed out is fetched again without a word.
    const resumesAt = given <= offset ? given : offset;
    const isSeen = given > offset;
    const fails = isSeen && offsetReset === "fail";
    if (isSeen) onEvent({ kind: "truncated", partition, offset, given, resumesAt: fails ? undefined : resumesAt });
    if (fails) return false;
    jump(state, resumesAt);
    // Negative where the logs have no leader epoch in common: then no record is left whose place could be checked.
    if (isSeen && divergence.leaderEpoch >= 0) state.lastReadLeaderEpoch = divergence.leaderEpoch;
    // What was cut does not come back: an end that was found before cannot be waited for.
    if (state.end !== undefined && state.end > resumesAt) state.end = resumesAt > offset ? resumesAt : offset;
    return true;
  };

  const outOfRange = (state: PartitionState, { fields: { logStart, highWatermark } }: TidemarkError) => {
    const { partition, offset } = state;
    const resumesAt = { earliest: logStart, latest: highWatermark, fail: undefined }[offsetReset];
    onEvent({ kind: "outOfRange", partition, offset, logStart, highWatermark, resumesAt });
    if (resumesAt === undefined) return false;
    jump(state, resumesAt);
    return true;
  };

  return (state, error) => {
    if (!(error instanceof TidemarkError)) return false;
    const { divergence } = error.fields;
    if (error.reason === Reason.LOG_TRUNCATED && divergence !== undefined) return truncated(state, divergence);
    return error.reason === Reason.OFFSET_OUT_OF_RANGE && outOfRange(state, error);
  };
}
