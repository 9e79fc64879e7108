/** Chains of faults that aim at what a leader believes of its followers' logs (R2, R7, L9). */
import { play, replicaFetch } from "../play.ts";

/** Longest that a fetch waits for records, in milliseconds, by any settings of a run. */
const fetchWaitMostMs = 500;

/**
 * A leader knows how far a follower is; another leads, cuts that follower's log, and the first one leads again: what it
 * knew holds no longer.
 */
const leadershipComesBack = play(async (on) => {
  const { leader, first, second } = on;
  const reach = await on.leaveBehind(first);
  await on.untilHasAll(second);
  const open = on.quiet();
  const show = on.hide(first);
  const mend = on.cut(leader, [first, second, ...on.controllers]);
  await on.untilLeads(first);
  await on.until(() => on.endOf(second) === on.endOf(first), 2000);
  mend();
  reach();
  await on.untilInIsr(leader, 8000);
  on.cut(leader, [second]);
  await on.leadAgain(500);
  show();
  open();
  await on.sleep(1200);
});

/**
 * 12: a leader falls with records that its followers never had, comes back to follow, and hears late that the logs part. It
 * is registered before it fetches: in an older broker epoch nobody would take it into the ISR.
 */
const divergingFollowerReturns = play(async (on) => {
  const { leader, first, second } = on;
  const reach = await on.leaveBehind(first, second);
  const open = on.quiet();
  // What was not acknowledged is not sent to the new leader yet, whose log is shorter for a while.
  const show = on.hide(first);
  if (!(await on.fallTo(first))) return;
  reach();
  on.hold(first, leader, replicaFetch, 4000);
  leader.boot();
  await on.untilInIsr(leader, 1500);
  await on.untilMoreIsCommitted(3000, () => {
    show();
    open();
  });
  await on.sleep(200);
});

/**
 * A follower hears late of two leaders that came after its own: it asks the second, which is the old one again, in the
 * leader epoch of before, and then follows the first, which does not have its last records.
 */
const followerHearsLate = play(async (on) => {
  const { leader, first, second } = on;
  await on.leaveBehind(first);
  on.quiet();
  on.hide(first);
  await on.untilHasAll(second);
  on.keepNewsFrom(second, 2500);
  on.restart(leader);
  if (!(await on.untilLeads(first, 1000))) return;
  on.cut(first, on.controllers);
  await on.untilLeads(leader);
  await on.sleep(3500);
});

/** 20h: a flush that began before the logs were found to part ends, and is told, before the follower hears of it. */
const flushEndsBeforeTheVerdict = play(async (on) => {
  const { leader, first, second } = on;
  on.stall(second, 700);
  await on.leaveBehind(first);
  await on.untilHasAll(second);
  const open = on.quiet();
  const show = on.hide(first);
  on.hold(first, second, replicaFetch, 4000);
  await on.fallTo(first);
  await on.sleep(700);
  await on.untilMoreIsCommitted(3000, () => {
    show();
    open();
  });
  await on.sleep(100);
  leader.boot();
});

/** 20f: a follower cuts its log while a flush is out, takes new records, and loses its power when that flush has ended. */
const cutWhileFlushing = play(async (on) => {
  const { leader, first, second } = on;
  on.stall(second, 700);
  await on.leaveBehind(first);
  await on.untilHasAll(second);
  // What is flushed from now on waits for longer than the flush that is out.
  on.stall(second, 2500);
  await on.fallTo(first);
  await on.sleep(900);
  second.losePower();
  on.cut(second, [first]);
  on.stall(second, 0);
  second.boot();
  await on.sleep(1000);
  leader.boot();
});

/**
 * 13: a leader tells a follower where their logs part, and that is late. Meanwhile the leader of before leads again, tells
 * the same, and the follower has new records of it in that place.
 */
const verdictOfAnOlderLeader = play(async (on) => {
  const { leader, first, second } = on;
  const reach = await on.leaveBehind(first);
  const open = on.quiet();
  await on.untilHasAll(second);
  const show = on.hide(first);
  const mend = on.hold(first, second, replicaFetch, 1500);
  if (!(await on.fallTo(first))) return;
  reach();
  leader.boot();
  if (!(await on.untilInIsr(leader, 1000)) || !(await on.leadAgain(500))) return;
  mend();
  show();
  open();
  await on.sleep(500);
  on.leaveAlone(second, 1500);
  await on.sleep(1200);
});

/**
 * 16: a fetch of a follower is on its way for long. Meanwhile the follower loses what it did not flush, comes back and
 * fetches anew; then the old one arrives. To be run with `log.flush=async`, where what was told as had may be lost.
 */
const oldFetchArrivesLast = play(async (on) => {
  const { leader, second } = on;
  on.quiet();
  await on.untilRest();
  const mend = on.hold(second, leader, replicaFetch, 1200);
  // A fetch that waited in vain is followed by another one, which says that everything is there.
  await on.sleep(fetchWaitMostMs + 100);
  mend();
  second.losePower();
  on.hold(leader, second, replicaFetch, 3000);
  await on.sleep(20);
  second.boot();
  await on.untilOutOfIsr(second);
  await on.sleep(1500);
});

/** 14: a follower that was out of the ISR asks a leader that does not know yet how much was committed. */
const returnsBelowTheEpochStart = play(async (on) => {
  const { leader, first, second } = on;
  await on.commitWithout(second);
  on.hold(first, second, replicaFetch, 1500);
  await on.fallTo(first);
  await on.sleep(1500);
  leader.boot();
});

/** 20g: the same, with nobody to return: what is committed stays unknown for long, while consumers wait at the tail. */
const tailOfAnUnsettledLeader = play(async (on) => {
  const { leader, first, second } = on;
  await on.commitWithout(second);
  second.kill();
  // Who reads is told; the follower hears it with its next answer.
  await on.sleep(8);
  await on.fallTo(first);
  await on.sleep(1500);
  second.boot();
  leader.boot();
});

/** 9: a follower starts again that does not know how much of its log is committed (KIP-101). */
const restartsBelowHighWatermark = play(async (on) => {
  const { first } = on;
  on.leaveAlone(first, 1000);
  on.restart(first);
  await on.untilFollows(first);
  await on.sleep(200);
});

export const positions = {
  leadershipComesBack,
  divergingFollowerReturns,
  followerHearsLate,
  flushEndsBeforeTheVerdict,
  cutWhileFlushing,
  verdictOfAnOlderLeader,
  oldFetchArrivesLast,
  returnsBelowTheEpochStart,
  tailOfAnUnsettledLeader,
  restartsBelowHighWatermark,
} as const;
