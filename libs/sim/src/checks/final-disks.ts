/** What a run looks up on the disks themselves when it is over. */
import { replicaName } from "@tidemark/log";
import { findTopicById, listPartitions, listTopics, type MetadataImage, type Partition } from "@tidemark/metadata";
import type { Codecs } from "@tidemark/record";
import type { SimCluster } from "../cluster/cluster.ts";
import type { SimNode } from "../cluster/node.ts";
import { compareCopies } from "./compare-copies.ts";
import { idOf, type Ledger } from "./ledger.ts";
import type { ReplicaWatch } from "./replica-watch.ts";
import { readStoredLog, recordsIn } from "./stored-batches.ts";

interface Looked {
  readonly image: MetadataImage;
  readonly cluster: Pick<SimCluster, "brokers">;
  readonly codecs: Codecs;
}

/**
 * Where two in-sync replicas of any partition differ below the high watermark; undefined where none do. A disk that was
 * harmed below what a broker reads again is left out: nobody knows of that yet.
 */
export async function findDifference(
  { image, cluster, codecs }: Looked,
  replicas: Pick<ReplicaWatch, "viewOf">,
): Promise<string | undefined> {
  for (const { topicId, name } of listTopics(image)) {
    const policy = findTopicById(image, topicId)?.settings.get("cleanup.policy") ?? "";
    for (const partition of listPartitions(image, topicId)) {
      const rules = { isCompacted: policy.includes("compact"), codecs };
      const difference = await compareMembers(partition, { cluster, replicas, rules });
      if (difference !== undefined) return `${name}-${partition.partition}: ${difference}`;
    }
  }
  return undefined;
}

async function compareMembers(
  partition: Partition,
  of: {
    readonly cluster: Looked["cluster"];
    readonly replicas: Pick<ReplicaWatch, "viewOf">;
    readonly rules: Parameters<typeof compareCopies>[2];
  },
): Promise<string | undefined> {
  const replica = replicaName(partition);
  const viewOn = ({ process }: SimNode) =>
    process === undefined ? undefined : of.replicas.viewOf(process.name, partition);
  const members = of.cluster.brokers.filter(
    ({ identity, device }) => partition.isr.some((id) => id === identity.id) && !device.hasDamage(replica),
  );
  const views = members.flatMap((node) => viewOn(node) ?? []);
  const leading = views.find(({ leadership }) => leadership !== undefined);
  if (leading === undefined || views.length < members.length) return undefined;
  const from = views.reduce((most, { logStart }) => (logStart > most ? logStart : most), 0n);
  const copies = await Promise.all(
    members.map(async ({ identity, device }) => ({
      broker: identity.id,
      ...(await readStoredLog(device.memory, replica)),
    })),
  );
  return compareCopies(copies, { from, to: leading.highWatermark }, of.rules);
}

/** Reports what was acknowledged and is on no disk any more. For a cluster that cannot be asked. */
export async function reportLosses({ image, cluster, codecs }: Looked, topic: string, ledger: Ledger): Promise<void> {
  const found = listTopics(image).find(({ name }) => name === topic);
  for (const partition of found === undefined ? [] : listPartitions(image, found.topicId)) {
    const held = new Set<string>();
    for (const { device } of cluster.brokers) {
      const { batches } = await readStoredLog(device.memory, replicaName(partition));
      for (const { value } of batches.flatMap((batch) => recordsIn(batch, codecs))) {
        const id = idOf(value ?? new Uint8Array(0));
        if (id !== undefined) held.add(id);
      }
    }
    ledger.checkHeld(topic, partition.partition, held);
  }
}
