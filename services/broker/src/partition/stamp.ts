import { crc32c } from "@tidemark/compression";
import type { LeaderEpoch, Offset } from "@tidemark/ids";
import { nextOffsetOf, stampBatch, stampLogAppendTime } from "@tidemark/record";
import type { CheckedBatches } from "./partition.ts";
import type { ReplicaState } from "./replica-state.ts";

/** Gives the batches of a produce their offsets and leader epoch, and their time where the topic has it so (L1). */
export function stampBatches(
  { bytes, headers }: CheckedBatches,
  { baseOffset, leaderEpoch }: { readonly baseOffset: Offset; readonly leaderEpoch: LeaderEpoch },
  { settings, shared }: Pick<ReplicaState, "settings" | "shared">,
): void {
  let next = baseOffset;
  for (const header of headers) {
    if (settings.timestampType === "LogAppendTime") {
      stampLogAppendTime(bytes, header, { timestamp: BigInt(shared.clock.wallMs()), crc32c });
    }
    stampBatch(bytes, header.position, { baseOffset: next, leaderEpoch });
    next = (next + (nextOffsetOf(header) - header.baseOffset)) as Offset;
  }
}

/** How many offsets the batches take, which is more than their records where compaction thinned them. */
export function offsetsIn({ headers }: CheckedBatches): number {
  let count = 0n;
  for (const header of headers) count += nextOffsetOf(header) - header.baseOffset;
  return Number(count);
}
