import type { BrokerEpoch, BrokerId } from "@tidemark/ids";
import { applyChanges } from "./apply.ts";
import { type MetadataChange, putSession } from "./change.ts";
import { type Decision, decided } from "./decision.ts";
import type { MetadataEvent } from "./events.ts";
import { eachPartition, type MetadataImage } from "./image.ts";
import { livenessOf } from "./liveness.ts";
import type { Replica } from "./model.ts";
import type { PartitionStep } from "./partition-change.ts";
import { type ElectionContext, sessionProblem } from "./register-broker.ts";
import { settlePartition } from "./settle.ts";

/**
 * Prepares a broker's stop (D5): it joins no ISR any more, its leaderships go to other members, and it leaves every ISR
 * in which it is not the last. Leaderships come first in the changes, so that they are moved however many batches there
 * are. A repeat moves what has become movable since, and else changes nothing.
 *
 * The answer is whether it may stop once that is committed. Where it is the last member it leads to its end; it is asked
 * to wait while another running replica of such a partition may yet catch up.
 */
export function beginShutdown(
  image: MetadataImage,
  command: { readonly brokerId: BrokerId; readonly brokerEpoch: BrokerEpoch },
  context: ElectionContext,
): Decision<{ readonly mayStop: boolean }> {
  const problem = sessionProblem(image, command);
  if (problem !== undefined) return problem;
  const { brokerId, brokerEpoch } = command;
  const session = image.sessions.get(brokerId);
  const changes: MetadataChange[] = [];
  const events: MetadataEvent[] = [];
  if (session !== undefined && session.state === "running") {
    changes.push(putSession({ ...session, state: "stopping" }));
    events.push({ kind: "shutdownBegun", brokerId, brokerEpoch });
  }
  const alive = livenessOf(applyChanges(image, changes).image.sessions);
  const isOther = (replica: Replica) => replica.brokerId !== brokerId;
  const withoutIt = { ...alive, mayStay: (replica: Replica) => isOther(replica) && alive.mayStay(replica) };
  const led: PartitionStep[] = [];
  const followed: PartitionStep[] = [];
  let mayStop = true;
  for (const { topic, partition } of eachPartition(image)) {
    if (!partition.isr.includes(brokerId)) continue;
    const others = partition.replicas.filter((replica) => partition.isr.includes(replica.brokerId));
    if (!others.some(withoutIt.mayStay)) {
      mayStop &&= !partition.replicas.some((replica) => isOther(replica) && alive.mayJoin(replica));
      continue;
    }
    const step = settlePartition(topic, partition, { ...context, cause: "shutdown", liveness: withoutIt });
    if (step !== undefined) (partition.leader === brokerId ? led : followed).push(step);
  }
  for (const step of [...led, ...followed]) {
    changes.push(step.change);
    events.push(...step.events);
  }
  return decided({ mayStop }, changes, events);
}
