/**
 * Asks for another log directory for a replica whose own this broker has no more (D8, L10): as the disk was lost and
 * replaced by an empty one. The controller records another one at a registration, and only where nobody relies on what
 * lay there; until then nothing is made here.
 *
 * A replica that stood in ISR or ELR at the registration, or whose partition had no leader, is asked for later, once the
 * metadata show that it is not needed. Once in each leader epoch, since it becomes needed again in a later one at most: a
 * controller that does not answer so is not asked over and over. The partition epoch would not do: a registration may
 * raise it, by what the controller notes of a replica that is offline.
 */
import type { Partition as PartitionRecord } from "@tidemark/metadata";
import type { HeldReplica } from "./held-replica.ts";
import type { TableState } from "./table-state.ts";

export function maybeAskForDirectory(table: TableState, held: HeldReplica, record: PartitionRecord): void {
  const { state } = held;
  const { self } = table;
  if (state.kind !== "misplaced" || !table.isRegistered || !table.doAllDirectoriesWork()) return;
  const { leader, leaderEpoch, regressedFrom, isr, elr } = record;
  const isNeeded = leader === undefined || regressedFrom !== undefined || isr.includes(self) || elr.includes(self);
  if (isNeeded || state.askedAt === leaderEpoch) return;
  held.state = { ...state, askedAt: leaderEpoch };
  table.onNewEpochNeeded();
}
