/**
 * Which of its leader's two streams a partition uses. Each has a connection of its own, so that a replica in sync never
 * waits behind one that copies much.
 */
import type { Offset } from "@tidemark/ids";
import type { BatchRange } from "@tidemark/replication";

export type LaneName = "tail" | "catchUp";

/** Bytes that a partition is behind, about, from which on it leaves the others alone. */
export const catchUpFromBytes = 16 * 2 ** 20;
/** Bytes that it is behind, about, down to which it comes back: one answer. */
export const catchUpToBytes = 2 ** 20;

/** The stream for a partition's next fetch, after an answer with these batches from a leader whose log ends there. */
export function nextLane(
  lane: LaneName,
  answer: { readonly batches: readonly BatchRange[]; readonly bytes: number; readonly logEnd: Offset },
): LaneName {
  const behind = bytesBehind(answer);
  if (behind > catchUpFromBytes) return "catchUp";
  if (behind <= catchUpToBytes) return "tail";
  return lane;
}

/** As many bytes for each offset that is missing as this answer had. 0 after an answer without records. */
function bytesBehind({ batches, bytes, logEnd }: Parameters<typeof nextLane>[1]): number {
  const [first] = batches;
  const last = batches.at(-1);
  if (first === undefined || last === undefined || last.endOffset >= logEnd) return 0;
  return (Number(logEnd - last.endOffset) * bytes) / Number(last.endOffset - first.baseOffset);
}
