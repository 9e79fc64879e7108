import type { Partition } from "@tidemark/metadata";
import { ElectionType } from "@tidemark/proto/admin/v1";
import type { SimNode } from "../cluster/node.ts";
import type { Scenario } from "./scenario.ts";
import type { Stage } from "./stage.ts";

/** The answers of replica fetches, and what followers say on the same stream. */
export const replicaFetch = "tidemark.replica.v1";
/** A leader's proposals for the ISR, and their answers. */
export const alterPartition = "AlterPartition";
/** What a controller tells of the metadata. */
export const watchMetadata = "WatchMetadata";

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

/** A scenario with its cast in order. Where nobody is ready to play, nothing is done. */
export function play(act: (stage: Stage, cast: Cast) => Promise<void>): Scenario {
  return async (stage) => {
    const cast = await castInOrder(stage);
    if (cast !== undefined) await act(stage, cast);
  };
}

/** Log end of a replica, by its machine's book. 0 where none runs. */
export function endOf(stage: Stage, { partition }: Cast, node: SimNode): bigint {
  return stage.view(node, partition)?.logEnd ?? 0n;
}

/** Waits until a replica follows, whoever leads. */
export async function awaitFollowing(stage: Stage, { partition }: Cast, node: SimNode): Promise<boolean> {
  return stage.until(() => stage.view(node, partition)?.role === "follower", 3000);
}

/** Waits until everything in a replica's log is flushed. */
export async function awaitFlushed(stage: Stage, { partition }: Cast, node: SimNode): Promise<boolean> {
  const isFlushed = () => {
    const view = stage.view(node, partition);
    return view !== undefined && view.flushed === view.logEnd;
  };
  return stage.until(isFlushed, 2000);
}

/** The leader's log grows, and these followers get nothing of that. Returns what mends the way to them. */
export async function leaveBehind(stage: Stage, cast: Cast, behind: readonly SimNode[]): Promise<() => void> {
  const { leader } = cast;
  const mend = stage.cut(leader, behind);
  const ends = behind.map((node) => endOf(stage, cast, node));
  await stage.until(() => ends.every((end) => endOf(stage, cast, leader) > end), 500);
  return mend;
}

/** The leader's process ends, and another replica leads soon. Whether it does. */
export async function fallTo(stage: Stage, { partition, leader }: Cast, next: SimNode): Promise<boolean> {
  leader.kill();
  return stage.until(() => leads(stage, partition, next), stage.timers.sessionMs + 2000);
}

/**
 * For so long, in milliseconds, a replica gets nothing of its leader, and the controller does not hear what the leader
 * thinks of it: what the replica lacks shows.
 */
export function leaveAlone(stage: Stage, { leader }: Cast, node: SimNode, ms: number): void {
  stage.hold(leader, node, replicaFetch, ms);
  for (const controller of stage.controllers) stage.hold(leader, controller, alterPartition, ms);
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

/** The replica's process ends, and the ISR goes on without it. */
export async function killAndAwaitRemoval(stage: Stage, { partition }: Cast, node: SimNode): Promise<void> {
  node.kill();
  await stage.until(() => !isInIsr(stage, partition, node), stage.timers.sessionMs + 3000);
}

/** The replica's log ends where its leader's does, and both know that everything in it is committed. */
export async function awaitRest(stage: Stage, { partition, leader, first, second }: Cast): Promise<void> {
  const isAtRest = () =>
    [first, second].every((node) => {
      const [view, leading] = [stage.view(node, partition), stage.view(leader, partition)];
      return view !== undefined && leading !== undefined && view.highWatermark === leading.logEnd;
    });
  await stage.until(isAtRest, 3000);
}
