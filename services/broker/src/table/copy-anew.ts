/**
 * Gives up a damaged replica, to copy it from its leader (L10, P6):
 *
 * 1. Its damage is noted, durably, and registrations and heartbeats name it from then on, until the metadata show it out
 *    of ISR and ELR.
 * 2. What was reported in a broker epoch stays true in it, so the broker registers anew, without naming it.
 * 3. In the newer broker epoch, and if the metadata still show it out, its data go and an empty log is made.
 *
 * Its note of the damage goes with the data: a process that dies in between finds it, and begins again.
 */
import type { Partition as PartitionRecord, Topic } from "@tidemark/metadata";
import type { HeldReplica } from "./held-replica.ts";
import { openAssigned } from "./open-replica.ts";
import { enqueue, type TableState } from "./table-state.ts";

export function maybeCopyAnew(table: TableState, held: HeldReplica, topic: Topic, record: PartitionRecord): void {
  const { state, home, id } = held;
  const { registration, self, logger } = table;
  if (state.kind !== "damaged" || !state.isNoted || home === undefined || registration === undefined) return;
  const counts = record.isr.includes(self) || record.elr.includes(self);
  if (counts || home.failure !== undefined) {
    if (state.givenUpIn !== undefined) held.state = { ...state, givenUpIn: undefined };
    return;
  }
  if (state.givenUpIn === undefined) held.state = { ...state, givenUpIn: registration.brokerEpoch };
  if (state.givenUpIn === undefined || state.givenUpIn >= registration.brokerEpoch) {
    table.onNewEpochNeeded();
    return;
  }
  const where = { topic: topic.name, partition: id.partition };
  logger.warn(`Partition ${topic.name}-${id.partition} is given up and copied anew: ${state.damage.detail}`, where);
  held.state = { kind: "opening" };
  enqueue(table, held, () => home.remove(id));
  openAssigned(table, topic, record);
}
