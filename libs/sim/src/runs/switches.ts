import { allGuards as allLogGuards, type LogGuards } from "@tidemark/log";
import { allGuards as allReplicationGuards, type ReplicationGuards } from "@tidemark/replication";
import type { RunPlan } from "./plan.ts";

type Broken = RunPlan["broken"];

/**
 * Every protection that can be taken out of a broker, each by its name: `replication.minIsr`, `log.flushBeforeAck`. A
 * protection whose absence no run finds is a missing check.
 */
export const switches: ReadonlyMap<string, Broken> = new Map<string, Broken>([
  ...keysOf(allReplicationGuards).map((key): [string, Broken] => [
    `replication.${key}`,
    { replicationGuards: { ...allReplicationGuards, [key]: false } },
  ]),
  ...keysOf(allLogGuards).map((key): [string, Broken] => [
    `log.${key}`,
    { logGuards: { ...allLogGuards, [key]: false } },
  ]),
]);

function keysOf<Guards extends LogGuards | ReplicationGuards>(guards: Guards): readonly string[] {
  return Object.keys(guards);
}
