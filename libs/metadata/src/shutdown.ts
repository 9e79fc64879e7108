import type { BrokerEpoch, BrokerId } from "@tidemark/ids";
import { applyChanges } from "./apply.ts";
import { type MetadataChange, putSession } from "./change.ts";
import { type Decision, decided } from "./decision.ts";
import type { MetadataEvent } from "./events.ts";
import { eachPartition, type MetadataImage } from "./image.ts";
import { livenessOf } from "./liveness.ts";
import type { Replica } from "./model.ts";
import { type ElectionContext, sessionProblem } from "./register-broker.ts";
import { settlePartition } from "./settle.ts";

/**
 * Prepares a broker's stop (D5): it joins no ISR any more, its leaderships go to other members, and it leaves every ISR
 * in which it is not the last. Once that is committed it may stop. Where it is the last it leads to its end. A repeat
 * moves what has become movable since, and else changes nothing.
 */
export function beginShutdown(
  image: MetadataImage,
  command: { readonly brokerId: BrokerId; readonly brokerEpoch: BrokerEpoch },
  context: ElectionContext,
): Decision<undefined> {
  const problem = sessionProblem(image, command);
  if (problem !== undefined) return problem;
  const { brokerId, brokerEpoch } = command;
  const session = image.sessions.get(brokerId);
  const changes: MetadataChange[] = [];
  const events: MetadataEvent[] = [];
  if (session !== undefined && session.state !== "stopping") {
    changes.push(putSession({ ...session, state: "stopping" }));
    events.push({ kind: "shutdownBegun", brokerId, brokerEpoch });
  }
  const alive = livenessOf(applyChanges(image, changes).image.sessions);
  const withoutIt = {
    ...alive,
    mayStay: (replica: Replica) => replica.brokerId !== brokerId && alive.mayStay(replica),
  };
  for (const { topic, partition } of eachPartition(image)) {
    const others = partition.replicas
      .filter(({ brokerId: id }) => partition.isr.includes(id))
      .filter(withoutIt.mayStay);
    if (!partition.isr.includes(brokerId) || others.length === 0) continue;
    const step = settlePartition(topic, partition, { ...context, cause: "shutdown", liveness: withoutIt });
    if (step === undefined) continue;
    changes.push(step.change);
    events.push(...step.events);
  }
  return decided(undefined, changes, events);
}
