import type { BrokerId } from "@tidemark/ids";
import {
  type AnsweredPosition,
  type BrokerSession,
  findPartition,
  livenessOf,
  type MetadataImage,
  type ReplicaId,
  receiptId,
} from "@tidemark/metadata";
import { delay, type Scheduler } from "@tidemark/runtime";
import type { DescribeReplicas } from "./describe-replicas.ts";

/**
 * Asks every live replica of some partitions how far its log goes (D2). Resolves when each broker has answered, or after
 * `waitMs` with what was answered until then. The answers are by `receiptId`.
 */
export async function askReplicas(
  image: MetadataImage,
  partitions: readonly ReplicaId[],
  options: { readonly describe: DescribeReplicas; readonly scheduler: Scheduler; readonly waitMs: number },
): Promise<ReadonlyMap<string, readonly AnsweredPosition[]>> {
  const positions = new Map<string, AnsweredPosition[]>();
  let isOpen = true;
  const ask = async (broker: BrokerSession, asked: readonly ReplicaId[]) => {
    const { brokerEpoch, replicas } = await options.describe(broker, asked, options.waitMs);
    if (!isOpen || brokerEpoch === undefined) return;
    for (const { lastLeaderEpoch, logEnd, logStart, regressedFrom, ...partition } of replicas) {
      const id = receiptId(partition);
      const answered = positions.get(id) ?? [];
      answered.push({ brokerId: broker.brokerId, brokerEpoch, lastLeaderEpoch, logEnd, logStart, regressedFrom });
      positions.set(id, answered);
    }
  };
  const asking = [...questions(image, partitions).values()].map(({ broker, asked }) =>
    // Who cannot be asked has no say.
    ask(broker, asked).catch(() => undefined),
  );
  const enough = new AbortController();
  const waited = delay(options.scheduler, options.waitMs, enough.signal).catch(() => undefined);
  await Promise.race([Promise.all(asking), waited]);
  enough.abort();
  isOpen = false;
  return positions;
}

/** Whom to ask about what: every broker that may lead, with those of the partitions that it has a replica of. */
function questions(
  image: MetadataImage,
  partitions: readonly ReplicaId[],
): ReadonlyMap<BrokerId, { readonly broker: BrokerSession; readonly asked: ReplicaId[] }> {
  const { mayJoin } = livenessOf(image.sessions);
  const byBroker = new Map<BrokerId, { readonly broker: BrokerSession; readonly asked: ReplicaId[] }>();
  for (const { topicId, partition } of partitions) {
    for (const replica of findPartition(image, topicId, partition)?.replicas ?? []) {
      const broker = image.sessions.get(replica.brokerId);
      if (broker === undefined || !mayJoin(replica)) continue;
      const question = byBroker.get(replica.brokerId) ?? { broker, asked: [] };
      question.asked.push({ topicId, partition });
      byBroker.set(replica.brokerId, question);
    }
  }
  return byBroker;
}
