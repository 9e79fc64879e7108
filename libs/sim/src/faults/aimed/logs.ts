/** Chains of faults that aim at what a log makes of what it finds on its disk (L4, L9). */
import { below } from "@tidemark/runtime";
import {
  alterPartition,
  awaitFlushed,
  awaitFollowing,
  awaitRest,
  type Cast,
  endOf,
  fallTo,
  leads,
  leaveAlone,
  leaveBehind,
  play,
  replicaFetch,
} from "../cast.ts";
import type { Stage } from "../stage.ts";

/**
 * 20k: both followers are killed with a tail that they did not flush, come back with it, and it is committed. Nothing
 * else is written that would flush it on the way. Then their power fails.
 */
const readTailLosesPower = play(async (stage, cast) => {
  const { partition, leader, first, second } = cast;
  const followers = [first, second];
  const open = stage.quiet();
  await awaitRest(stage, cast);
  const before = endOf(stage, cast, leader);
  for (const node of followers) stage.stall(node, 3000);
  open();
  await stage.until(() => followers.every((node) => endOf(stage, cast, node) > before), 1000);
  stage.quiet();
  await stage.sleep(10);
  const end = endOf(stage, cast, leader);
  for (const node of followers) {
    node.kill();
    stage.stall(node, 0);
    node.boot();
  }
  await stage.until(() => stage.committed(partition) >= end, 1000);
  for (const node of followers) node.losePower();
  leader.kill();
  await stage.sleep(20);
  for (const node of followers) node.boot();
  await stage.until(() => leads(stage, partition, first), stage.timers.sessionMs + 2000);
  await stage.sleep(200);
  leader.boot();
});

/** All machines lose their power at one moment, while some of their disks are busy (P1). */
const powerFailsEverywhere = play(async (stage, cast) => {
  const nodes = [cast.leader, cast.first, cast.second];
  for (const node of nodes) if (stage.random.next() < 0.5) stage.stall(node, below(stage.random, 400));
  await stage.sleep(100 + below(stage.random, 400));
  for (const node of nodes) node.losePower();
  for (const node of nodes) {
    await stage.sleep(below(stage.random, 300));
    node.boot();
  }
  await stage.sleep(300);
});

/** A leader's disk stands still while its followers flush. Then its power fails, and it leads again at once. */
const stalledLeaderReturns = play(async (stage, cast) => {
  const { partition, leader } = cast;
  const open = stage.quiet();
  await awaitRest(stage, cast);
  stage.stall(leader, 1000);
  const before = stage.committed(partition);
  open();
  await stage.until(() => stage.committed(partition) > before, 300);
  leader.losePower();
  stage.stall(leader, 0);
  leader.boot();
  await stage.sleep(500);
});

/** 2: the end of a follower's log, which was flushed and committed, is damaged at rest, and the follower starts again. */
const flushedEndIsDamaged = play(async (stage, cast) => {
  const { partition, second } = cast;
  stage.quiet();
  await awaitRest(stage, cast);
  const isHarmed = stage.brokers.some(({ device }) => device.wasDamaged || device.wasLost);
  if (isHarmed || !second.device.damageEndOf(`${partition.topicId}-${partition.partition}`)) return;
  second.kill();
  leaveAlone(stage, cast, second, 1000);
  second.boot();
  await awaitFollowing(stage, cast, second);
  await stage.sleep(200);
});

/**
 * A leader falls with records that its followers do not have, and follows the next one, which it reaches by then. Its
 * disk is busy for `busyMs` when it hears where the logs part. Whether it did.
 */
async function fallAndCut(
  stage: Stage,
  cast: Cast,
  { busyMs, reach }: { readonly busyMs: number; readonly reach: () => void },
): Promise<boolean> {
  const { leader, first } = cast;
  await awaitFlushed(stage, cast, leader);
  const end = endOf(stage, cast, leader);
  stage.hide(first);
  if (!(await fallTo(stage, cast, first))) return false;
  reach();
  stage.hold(first, leader, replicaFetch, 250);
  leader.boot();
  if (!(await awaitFollowing(stage, cast, leader)) || !(await awaitFlushed(stage, cast, leader))) return false;
  stage.stall(leader, busyMs);
  return stage.until(() => endOf(stage, cast, leader) < end, 2000);
}

/** A log is cut below what was flushed, and its process ends before the cut is done. */
const diesWhileCutting = play(async (stage, cast) => {
  const { leader, first, second } = cast;
  const reach = await leaveBehind(stage, cast, [first, second]);
  stage.quiet();
  const { memory } = leader.device;
  if (!(await fallAndCut(stage, cast, { busyMs: 300, reach }))) return;
  const before = memory.usedBytes();
  await stage.until(() => memory.usedBytes() < before, 1000);
  leader.kill();
  await stage.sleep(20);
  leader.boot();
  await stage.sleep(300);
});

/**
 * 20f: a log that is being cut is cut once more, further down, since another leader came meanwhile, and is to hold other
 * records there. The first cut ends before any of that is done, and says what was flushed when it was.
 */
const cutTwiceAtOnce = play(async (stage, cast) => {
  const { partition, leader, first, second } = cast;
  const meet = await leaveBehind(stage, cast, [second]);
  stage.cut(first, [second]);
  const reach = await leaveBehind(stage, cast, [first]);
  const open = stage.quiet();
  // Whoever fell would be in the ISR again before its log is cut, and lead when the next one falls.
  for (const controller of stage.controllers) stage.hold(first, controller, alterPartition, 2000);
  if (!(await fallAndCut(stage, cast, { busyMs: 1300, reach }))) return;
  first.kill();
  meet();
  if (!(await stage.until(() => leads(stage, partition, second), 1000))) return;
  const before = stage.committed(partition);
  open();
  // What is committed now stands on the word of the one whose disk is busy.
  await stage.until(() => stage.committed(partition) > before, 2500);
  leader.losePower();
  stage.cut(leader, [second]);
  await stage.sleep(20);
  leader.boot();
  await stage.sleep(500);
  first.boot();
});

export const logs = {
  powerFailsEverywhere,
  stalledLeaderReturns,
  readTailLosesPower,
  flushedEndIsDamaged,
  diesWhileCutting,
  cutTwiceAtOnce,
} as const;
