/** Replicas that have seen more than the metadata know of, as after a restore from a backup (METADATA_REGRESSED). */
import { findPartition, type SeenState } from "@tidemark/metadata";
import type { HeldReplica } from "./held-replica.ts";
import type { TableState } from "./table-state.ts";

/** Of open replicas what their machines have seen, of those that are only open on disk so far what their logs hold. */
export function regressedReplicas(table: TableState): readonly SeenState[] {
  return [...table.held.values()].flatMap((held) => seenBeyond(table, held) ?? []);
}

function seenBeyond({ update }: TableState, { id, state }: HeldReplica): SeenState | undefined {
  if (state.kind === "open") {
    const seen = state.partition.seenBeyond;
    return seen === undefined ? undefined : { ...id, ...seen };
  }
  if (state.kind !== "ready") return undefined;
  const known = update && findPartition(update.image, id.topicId, id.partition);
  const leaderEpoch = state.log.latestLeaderEpoch;
  if (known === undefined || leaderEpoch === undefined || leaderEpoch <= known.leaderEpoch) return undefined;
  return { ...id, leaderEpoch, partitionEpoch: undefined };
}
