/** The cuts that receipts of unclean elections wait for (D3): a log keeps its note until the receipt has it. */
import type { ReplicaId } from "@tidemark/log";
import { findReceipt } from "@tidemark/metadata";
import type { TableState } from "./table-state.ts";

/** Whether a receipt waits for what this broker's replica cuts. */
export function isReceiptOpen({ update, self }: TableState, replica: ReplicaId): boolean {
  return update !== undefined && findReceipt(update.image, replica)?.awaited.includes(self) === true;
}

/** Forgets what open logs note and no receipt waits for any more. */
export function forgetToldCuts(table: TableState): void {
  for (const { id, state } of table.held.values()) {
    if (state.kind !== "open" || state.log.cutNote === undefined || isReceiptOpen(table, id)) continue;
    // A directory that fails is told of by itself; a note that stays is found by the next start.
    state.log.forgetCutNote().catch(() => undefined);
  }
}
