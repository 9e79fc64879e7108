import type { Partition } from "@tidemark/metadata";
import { ElectionType } from "@tidemark/proto/admin/v1";
import type { SimNode } from "../cluster/node.ts";
import type { Stage } from "./stage.ts";

/** A scenario's partition, and who plays which part in it. */
export interface Cast {
  readonly partition: Partition;
  readonly leader: SimNode;
  readonly first: SimNode;
  readonly second: SimNode;
}

/** So many records are committed before anything is done to them. */
const recordsMin = 20n;

/** Leader and followers of a healthy partition, the followers in any order. */
export function castOf(stage: Stage): Cast | undefined {
  const partition = stage.healthyPartition();
  if (partition?.leader === undefined) return undefined;
  const followers = partition.replicas.map(({ brokerId }) => brokerId).filter((id) => id !== partition.leader);
  const [first, second] = stage.random.next() < 0.5 ? followers : followers.toReversed();
  if (first === undefined || second === undefined) return undefined;
  return {
    partition,
    leader: stage.broker(partition.leader),
    first: stage.broker(first),
    second: stage.broker(second),
  };
}

/**
 * The same, led by the first of its replicas and with the followers in the order of the assignment: where leaders are
 * elected in that order, `first` is the next one.
 */
export async function castInOrder(stage: Stage): Promise<Cast | undefined> {
  await stage.until(() => stage.healthyPartition() !== undefined, 5000);
  const found = stage.healthyPartition();
  if (found === undefined) return undefined;
  await electPreferred(stage);
  const [leader, first, second] = found.replicas.map(({ brokerId }) => stage.broker(brokerId));
  const isReady = () => {
    const { leader: now, isr } = stage.latest(found);
    return now === found.replicas[0]?.brokerId && isr.length === found.replicas.length;
  };
  if (!(await stage.until(isReady, 3000))) return undefined;
  if (leader === undefined || first === undefined || second === undefined) return undefined;
  await stage.until(() => stage.view(leader, found)?.role === "leader" && stage.committed(found) > recordsMin, 2000);
  return { partition: stage.latest(found), leader, first, second };
}

/** Gives leaderships to the first replicas. */
export async function electPreferred({ operator }: Stage): Promise<void> {
  await operator.admin.electLeaders({ type: ElectionType.PREFERRED }, { timeoutMs: 2000 }).catch(() => undefined);
}

/** Whether the metadata have a replica's broker in the ISR. */
export function isInIsr(stage: Stage, partition: Partition, node: SimNode): boolean {
  return stage.latest(partition).isr.some((id) => stage.broker(id) === node);
}

/** Who leads by the metadata. */
export function leads(stage: Stage, partition: Partition, node: SimNode): boolean {
  const { leader } = stage.latest(partition);
  return leader !== undefined && stage.broker(leader) === node;
}

/** The replica's process ends, and the ISR goes on without it. Whether it does. */
export async function killAndAwaitRemoval(
  stage: Stage,
  { partition }: Pick<Cast, "partition">,
  node: SimNode,
): Promise<boolean> {
  node.kill();
  return stage.until(() => !isInIsr(stage, partition, node), stage.timers.sessionMs + 3000);
}
