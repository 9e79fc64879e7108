import { listPartitions, listTopics, type MetadataImage, type Partition } from "@tidemark/metadata";
import { pick, type Random } from "@tidemark/runtime";
import type { SimCluster } from "../cluster/cluster.ts";
import type { SimNode } from "../cluster/node.ts";
import { directoryOf } from "../quorum/format-quorum.ts";
import type { FaultWorld } from "./fault-kinds.ts";

/**
 * Draws who is left out of a core: of each partition one undamaged member of ISR or ELR stays, of the controllers a
 * majority, of the gateways one at least. The core is enough for every partition to have a leader (P19).
 */
export function drawOutside({
  random,
  cluster,
  image,
  quorum,
}: Pick<FaultWorld, "random" | "cluster" | "image" | "quorum">): ReadonlySet<SimNode> {
  const kept = new Set<SimNode>();
  for (const partition of partitionsOf(image())) {
    const node = pick(random, soundMembers(partition, cluster));
    if (node !== undefined) kept.add(node);
  }
  const isSettled = quorum !== undefined && !quorum.keeper.isChanging;
  const voters = isSettled ? (quorum.watch.settledMembership()?.voters ?? []) : [];
  const voting = cluster.controllers.filter((node) => voters.some(({ id }) => id === directoryOf(node)));
  const majority = take(random, voting, Math.floor(voting.length / 2) + 1);
  // Whoever joins or leaves the quorum now needs everybody.
  for (const node of majority.length > 1 ? majority : cluster.controllers) kept.add(node);
  const [observed, ...gateways] = cluster.gateways;
  if (observed !== undefined) kept.add(observed);
  for (const node of gateways) if (random.next() < 0.5) kept.add(node);
  const candidates = [...cluster.brokers, ...cluster.controllers, ...cluster.gateways];
  return new Set(candidates.filter((node) => !kept.has(node)));
}

/** The partition that has no leader within the core though it could. Undefined: none. */
export function lacksLeader(
  image: MetadataImage,
  cluster: SimCluster,
  outside: ReadonlySet<SimNode>,
): string | undefined {
  const waiting = partitionsOf(image).find((partition) => {
    const { leader } = partition;
    const isLed = leader !== undefined && !outside.has(nodeOf(cluster, leader));
    return !isLed && soundMembers(partition, cluster).some((node) => !outside.has(node));
  });
  return waiting && `${waiting.topicId}-${waiting.partition} is led by ${waiting.leader ?? "nobody"}`;
}

function partitionsOf(image: MetadataImage): readonly Partition[] {
  return listTopics(image).flatMap(({ topicId }) => listPartitions(image, topicId));
}

function nodeOf({ brokers }: SimCluster, id: number): SimNode {
  const node = brokers[id - 1];
  if (node === undefined) throw new Error(`There is no broker ${id}`);
  return node;
}

function soundMembers({ isr, elr }: Partition, cluster: SimCluster): readonly SimNode[] {
  const members = [...isr, ...elr].map((id) => nodeOf(cluster, id));
  return members.filter(({ device }) => device.isSound);
}

/** So many of them, at random. */
function take(random: Random, nodes: readonly SimNode[], count: number): readonly SimNode[] {
  const left = [...nodes];
  while (left.length > count) left.splice(Math.floor(random.next() * left.length), 1);
  return left;
}
