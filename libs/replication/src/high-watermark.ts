import type { BrokerId, Offset } from "@tidemark/ids";
import { assert } from "./assert.ts";
import type { ReplicationGuards } from "./guards.ts";
import type { ReplicaProgress } from "./replica-progress.ts";

/**
 * The high watermark of one partition, as its leader knows it.
 *
 * Keeps rules R2, R4 and R14:
 *
 * 1. It is the least flushed offset over the maximal ISR. A member whose position is unknown in this leader epoch holds
 *    it where it is.
 * 2. It never goes back.
 * 3. It stands still while the committed ISR is smaller than the min ISR in force (KIP-966).
 * 4. It is *unsettled* until it reaches the start of the leader's epoch: until then nobody may conclude from it that an
 *    offset does not exist (KIP-207).
 */
export function advanceHighWatermark(
  current: Offset,
  known: {
    /** The maximal ISR, the leader included. */
    readonly counted: readonly ReplicaProgress[];
    /** Size of the committed ISR. */
    readonly isrSize: number;
    readonly minIsr: number;
    readonly guards: ReplicationGuards;
  },
): Offset {
  if (known.guards.minIsr && known.isrSize < known.minIsr) return current;
  let least: Offset | undefined;
  for (const member of known.counted) {
    const position = known.guards.flushedOnly ? member.flushed : (member.verified ?? member.flushed);
    if (position === undefined) return current;
    if (least === undefined || position < least) least = position;
  }
  assert(least !== undefined, "an ISR has its leader in it");
  return least > current ? least : current;
}

/** False from an election until everything that came before this leader epoch is known to be committed. */
export function isSettled(position: { readonly highWatermark: Offset; readonly epochStart: Offset }): boolean {
  return position.highWatermark >= position.epochStart;
}

/** The member whose report came last, which is the one that the others waited for. */
export function lastToReport(counted: readonly ReplicaProgress[]): BrokerId {
  let last: ReplicaProgress | undefined;
  for (const member of counted) if (last === undefined || member.reportedAt > last.reportedAt) last = member;
  assert(last !== undefined, "an ISR has its leader in it");
  return last.replica;
}
