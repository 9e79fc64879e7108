/**
 * Gives up a damaged replica, to copy it from its leader (L10, P6). Nothing of it goes before the metadata show it out
 * of ISR and ELR; and what was reported in a broker epoch stays true in it, so a running broker registers anew first.
 */
import type { Partition as PartitionRecord, Topic } from "@tidemark/metadata";
import type { HeldReplica } from "./held-replica.ts";
import { openAssigned } from "./open-replica.ts";
import { enqueue, type TableState } from "./table-state.ts";

export function maybeCopyAnew(table: TableState, held: HeldReplica, topic: Topic, record: PartitionRecord): void {
  const { state, home, id } = held;
  const { registration, self } = table;
  if (state.kind !== "damaged" || home === undefined || registration === undefined) return;
  if (home.failure !== undefined) return;
  if (record.isr.includes(self) || record.elr.includes(self)) return;
  if (state.foundIn !== undefined && state.foundIn >= registration.brokerEpoch) {
    table.onNewEpochNeeded();
    return;
  }
  table.logger.warn(`Partition ${topic.name}-${id.partition} is given up and copied anew: ${state.damage.detail}`, {
    topic: topic.name,
    partition: id.partition,
  });
  held.state = { kind: "opening" };
  enqueue(table, held, () => home.remove(id));
  openAssigned(table, topic, record);
}
