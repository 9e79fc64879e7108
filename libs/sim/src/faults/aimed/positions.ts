/** Chains of faults that aim at what a leader believes of its followers' logs (R2, R7, L9). */
import {
  awaitFollowing,
  awaitRest,
  castInOrder,
  electPreferred,
  endOf,
  fallTo,
  isInIsr,
  leads,
  leaveAlone,
  leaveBehind,
  play,
  replicaFetch,
} from "../cast.ts";
import type { Scenario } from "../scenario.ts";

/** Longest that a fetch waits for records, in milliseconds, by any settings of a run. */
const fetchWaitMostMs = 500;

/**
 * A leader knows how far a follower is; another leads, cuts that follower's log, and the first one leads again: what it
 * knew holds no longer.
 */
const leadershipComesBack: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  if (cast === undefined) return;
  const { partition, leader, first, second } = cast;
  // The second follower is ahead of the first one.
  const reach = stage.cut(leader, [first]);
  await stage.sleep(200);
  const open = stage.quiet();
  const show = stage.hide(first);
  const mend = stage.cut(leader, [first, second, ...stage.controllers]);
  await stage.until(() => leads(stage, partition, first), stage.timers.sessionMs + 2000);
  await stage.until(() => stage.view(second, partition)?.logEnd === stage.view(first, partition)?.logEnd, 2000);
  mend();
  reach();
  await stage.until(() => isInIsr(stage, partition, leader), 8000);
  stage.cut(leader, [second]);
  await electPreferred(stage);
  show();
  open();
  await stage.sleep(1200);
};

/** A follower comes back with records that its new leader never had, and hears late that the logs part. */
const divergingFollowerReturns: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  if (cast === undefined) return;
  const { partition, leader, first, second } = cast;
  const mend = stage.cut(leader, [first, second, ...stage.controllers]);
  await stage.sleep(300);
  const open = stage.quiet();
  // What was not acknowledged is not sent to the new leader yet, whose log is shorter for a while.
  const show = stage.hide(first);
  await stage.until(() => leads(stage, partition, first), stage.timers.sessionMs + 2000);
  stage.hold(first, leader, replicaFetch, 4000);
  mend();
  await stage.until(() => isInIsr(stage, partition, leader), 1500);
  const before = stage.committed(partition);
  show();
  open();
  await stage.until(() => stage.committed(partition) > before, 3000);
  await stage.sleep(200);
};

/**
 * A follower hears late of two leaders that came after its own: it asks the second, which is the old one again, in the
 * leader epoch of before, and then follows the first, which does not have its last records.
 */
const followerHearsLate: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  if (cast === undefined) return;
  const { partition, leader, first, second } = cast;
  stage.cut(leader, [first]);
  await stage.sleep(200);
  stage.quiet();
  stage.hide(first);
  await stage.sleep(100);
  for (const controller of stage.controllers) stage.hold(controller, second, "WatchMetadata", 2500);
  leader.kill();
  leader.boot();
  if (!(await stage.until(() => leads(stage, partition, first), 1000))) return;
  stage.cut(first, stage.controllers);
  await stage.until(() => leads(stage, partition, leader), stage.timers.sessionMs + 2000);
  await stage.sleep(3500);
};

/** 20h: a flush that began before the logs were found to part ends, and is told, before the follower hears of it. */
const flushEndsBeforeTheVerdict: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  if (cast === undefined) return;
  const { partition, leader, first, second } = cast;
  stage.cut(leader, [first]);
  stage.stall(second, 700);
  await stage.sleep(150);
  const open = stage.quiet();
  const show = stage.hide(first);
  stage.hold(first, second, replicaFetch, 4000);
  leader.kill();
  await stage.until(() => leads(stage, partition, first), stage.timers.sessionMs + 2000);
  await stage.sleep(700);
  const before = stage.committed(partition);
  show();
  open();
  await stage.until(() => stage.committed(partition) > before, 3000);
  await stage.sleep(100);
  leader.boot();
};

/** 20f: a follower cuts its log while a flush is out, takes new records, and loses its power when that flush has ended. */
const cutWhileFlushing: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  if (cast === undefined) return;
  const { partition, leader, first, second } = cast;
  stage.cut(leader, [first]);
  stage.stall(second, 700);
  await stage.sleep(150);
  // What is flushed from now on waits for longer than the flush that is out.
  stage.stall(second, 2500);
  leader.kill();
  await stage.until(() => leads(stage, partition, first), stage.timers.sessionMs + 2000);
  await stage.sleep(900);
  second.losePower();
  stage.cut(second, [first]);
  stage.stall(second, 0);
  second.boot();
  await stage.sleep(1000);
  leader.boot();
};

/**
 * 13: a leader tells a follower where their logs part, and that is late. Meanwhile the leader of before leads again, tells
 * the same, and the follower has new records of it in that place.
 */
const verdictOfAnOlderLeader = play(async (stage, cast) => {
  const { partition, leader, first, second } = cast;
  const reach = await leaveBehind(stage, cast, [first]);
  const open = stage.quiet();
  await stage.until(() => endOf(stage, cast, second) === endOf(stage, cast, leader), 500);
  const show = stage.hide(first);
  const mend = stage.hold(first, second, replicaFetch, 1500);
  if (!(await fallTo(stage, cast, first))) return;
  reach();
  leader.boot();
  if (!(await stage.until(() => isInIsr(stage, partition, leader), 1000))) return;
  await electPreferred(stage);
  if (!(await stage.until(() => leads(stage, partition, leader), 500))) return;
  mend();
  show();
  open();
  await stage.sleep(500);
  leaveAlone(stage, cast, second, 1500);
  await stage.sleep(1200);
});

/**
 * 16: a fetch of a follower is on its way for long. Meanwhile the follower loses what it did not flush, comes back and
 * fetches anew; then the old one arrives. To be run with `log.flush=async`, where what was told as had may be lost.
 */
const oldFetchArrivesLast: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  if (cast === undefined) return;
  const { partition, leader, second } = cast;
  const shut = stage.quiet();
  await awaitRest(stage, cast);
  const mend = stage.hold(second, leader, replicaFetch, 1200);
  // A fetch that waited in vain is followed by another one, which says that everything is there.
  await stage.sleep(fetchWaitMostMs + 100);
  mend();
  second.losePower();
  stage.hold(leader, second, replicaFetch, 3000);
  await stage.sleep(20);
  second.boot();
  await stage.until(() => !isInIsr(stage, partition, second), stage.timers.sessionMs + 1000);
  await stage.sleep(1500);
  shut();
};

/** 14: a follower that was out of the ISR asks a leader that does not know yet how much was committed. */
const returnsBelowTheEpochStart: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  if (cast === undefined) return;
  const { partition, leader, first, second } = cast;
  const open = stage.quiet();
  await awaitRest(stage, cast);
  stage.cut(second, [leader]);
  open();
  await stage.sleep(100);
  stage.quiet();
  // What was written since is committed when the second follower leaves, and the first one has not heard so.
  await stage.until(() => !isInIsr(stage, partition, second), stage.timers.lagMs + 2000);
  stage.hold(first, second, replicaFetch, 1500);
  leader.kill();
  await stage.until(() => leads(stage, partition, first), stage.timers.sessionMs + 2000);
  await stage.sleep(1500);
  leader.boot();
};

/** 20g: the same, with nobody to return: what is committed stays unknown for long, while consumers wait at the tail. */
const tailOfAnUnsettledLeader: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  if (cast === undefined) return;
  const { partition, leader, first, second } = cast;
  const open = stage.quiet();
  await awaitRest(stage, cast);
  stage.cut(second, [leader]);
  open();
  await stage.sleep(100);
  stage.quiet();
  await stage.until(() => !isInIsr(stage, partition, second), stage.timers.lagMs + 2000);
  second.kill();
  // Who reads is told; the follower hears it with its next answer.
  await stage.sleep(8);
  leader.kill();
  await stage.until(() => leads(stage, partition, first), stage.timers.sessionMs + 2000);
  await stage.sleep(1500);
  second.boot();
  leader.boot();
};

/** 9: a follower starts again that does not know how much of its log is committed (KIP-101). */
const restartsBelowHighWatermark = play(async (stage, cast) => {
  const { first } = cast;
  leaveAlone(stage, cast, first, 1000);
  first.kill();
  first.boot();
  await awaitFollowing(stage, cast, first);
  await stage.sleep(200);
});

export const positions = {
  restartsBelowHighWatermark,
  leadershipComesBack,
  divergingFollowerReturns,
  followerHearsLate,
  flushEndsBeforeTheVerdict,
  cutWhileFlushing,
  verdictOfAnOlderLeader,
  oldFetchArrivesLast,
  returnsBelowTheEpochStart,
  tailOfAnUnsettledLeader,
} as const;
