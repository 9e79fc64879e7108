/** Chains of faults that aim at what a log makes of what it finds on its disk (L4, L9). */
import { replicaName } from "@tidemark/log";
import { below } from "@tidemark/runtime";
import { alterPartition, type Play, play, replicaFetch } from "../play.ts";

/** All machines lose their power at one moment, while some of their disks are busy (P1). */
const powerFailsEverywhere = play(async (on) => {
  const nodes = [on.leader, on.first, on.second];
  for (const node of nodes) if (on.random.next() < 0.5) on.stall(node, below(on.random, 400));
  await on.sleep(100 + below(on.random, 400));
  for (const node of nodes) node.losePower();
  for (const node of nodes) {
    await on.sleep(below(on.random, 300));
    node.boot();
  }
  await on.sleep(300);
});

/** A leader's disk stands still while its followers flush. Then its power fails, and it leads again at once. */
const stalledLeaderReturns = play(async (on) => {
  const { leader } = on;
  const open = on.quiet();
  await on.untilRest();
  on.stall(leader, 1000);
  await on.untilMoreIsCommitted(300, open);
  leader.losePower();
  on.stall(leader, 0);
  leader.boot();
  await on.sleep(500);
});

/**
 * 20k: both followers are killed with a tail that they did not flush, come back with it, and it is committed. Nothing
 * else is written that would flush it on the way. Then their power fails.
 */
const readTailLosesPower = play(async (on) => {
  const { partition, leader, first, second } = on;
  const followers = [first, second];
  const open = on.quiet();
  await on.untilRest();
  const before = on.endOf(leader);
  for (const node of followers) on.stall(node, 3000);
  open();
  await on.until(() => followers.every((node) => on.endOf(node) > before), 1000);
  on.quiet();
  await on.sleep(10);
  const end = on.endOf(leader);
  for (const node of followers) {
    on.stall(node, 0);
    on.restart(node);
  }
  await on.until(() => on.committed(partition) >= end, 1000);
  for (const node of followers) node.losePower();
  leader.kill();
  await on.sleep(20);
  for (const node of followers) node.boot();
  await on.untilLeads(first);
  await on.sleep(200);
  leader.boot();
});

/** 2: the end of a follower's log, which was flushed and committed, is damaged at rest, and the follower starts again. */
const flushedEndIsDamaged = play(async (on) => {
  const { partition, second } = on;
  on.quiet();
  await on.untilRest();
  // What is flushed is noted right behind the flush. Damage above what is noted cannot be told from a torn write (L4).
  await on.sleep(20);
  const isHarmed = on.brokers.some(({ device }) => !device.isSound);
  if (isHarmed || !second.device.damageEndOf(replicaName(partition))) return;
  on.leaveAlone(second, 1000);
  on.restart(second);
  await on.untilFollows(second);
  await on.sleep(200);
});

/**
 * Of two that have everything one leads, and its disk gives nothing back for a while when somebody reads; the end of the
 * other's log is damaged at rest. The first one has lost nothing (L6).
 */
const diskGivesNothingBack = play(async (on) => {
  const { partition, leader, first, second } = on;
  const isHarmed = on.brokers.some(({ device }) => !device.isSound || device.faults.failing !== undefined);
  if (isHarmed) return;
  // What it had in memory it has to read from now on.
  on.restart(first);
  if (!(await on.untilFollows(first)) || !(await on.untilInIsr(first, 3000))) return;
  if (!(await on.killAndForget(leader)) || !(await on.untilLeads(first))) return;
  on.quiet();
  await on.until(() => on.known(second)?.highWatermark === on.endOf(first), 1000);
  // Another fault may have harmed one meanwhile.
  const isAnyHarmed = on.brokers.some(({ device }) => !device.isSound);
  if (isAnyHarmed || !second.device.damageEndOf(replicaName(partition))) return;
  const mend = on.giveNothingBack(first);
  const endReading = on.readEverything();
  await on.sleep(on.timers.sessionMs + 500);
  mend();
  await on.sleep(on.timers.sessionMs + 500);
  endReading();
  on.restart(second);
  await on.sleep(1000);
  leader.boot();
});

/**
 * A leader falls with records that its followers do not have, and follows the next one, which it reaches by then. Its
 * disk is busy for `busyMs` when it hears where the logs part. Whether it did.
 */
async function fallAndCut(
  on: Play,
  { busyMs, reach }: { readonly busyMs: number; readonly reach: () => void },
): Promise<boolean> {
  const { leader, first } = on;
  await on.untilFlushed(leader);
  const end = on.endOf(leader);
  on.hide(first);
  if (!(await on.fallTo(first))) return false;
  reach();
  on.hold(first, leader, replicaFetch, 250);
  leader.boot();
  if (!(await on.untilFollows(leader)) || !(await on.untilFlushed(leader))) return false;
  on.stall(leader, busyMs);
  return on.until(() => on.endOf(leader) < end, 2000);
}

/** A follower's disk is full while answers are on their way: what it could not write is not there, whatever comes next. */
const fullDiskWithAnswersOnTheirWay = play(async (on) => {
  const { leader, first } = on;
  const { faults, memory } = first.device;
  on.slow(leader, first, 20);
  for (let round = 0; round < 12; round++) {
    faults.capacity = memory.usedBytes() + 64;
    await on.sleep(40 + 60 * on.random.next());
    faults.capacity = Number.POSITIVE_INFINITY;
    await on.sleep(60);
  }
});

/** A log is cut below what was flushed, and its process ends before the cut is done. */
const diesWhileCutting = play(async (on) => {
  const { leader, first, second } = on;
  const reach = await on.leaveBehind(first, second);
  on.quiet();
  if (!(await fallAndCut(on, { busyMs: 300, reach }))) return;
  const { memory } = leader.device;
  const before = memory.usedBytes();
  await on.until(() => memory.usedBytes() < before, 1000);
  leader.kill();
  await on.sleep(20);
  leader.boot();
  await on.sleep(300);
});

/**
 * 20f: a log that is being cut is cut once more, further down, since another leader came meanwhile, and is to hold other
 * records there. The first cut ends before any of that is done, and says what was flushed when it was.
 */
const cutTwiceAtOnce = play(async (on) => {
  const { leader, first, second, controller } = on;
  const meet = await on.leaveBehind(second);
  on.cut(first, [second]);
  const reach = await on.leaveBehind(first);
  const open = on.quiet();
  // Whoever fell would be in the ISR again before its log is cut, and lead when the next one falls.
  on.hold(first, controller, alterPartition, 2000);
  if (!(await fallAndCut(on, { busyMs: 1300, reach }))) return;
  first.kill();
  meet();
  if (!(await on.untilLeads(second, 1000))) return;
  // What is committed now stands on the word of the one whose disk is busy.
  await on.untilMoreIsCommitted(2500, open);
  leader.losePower();
  on.cut(leader, [second]);
  await on.sleep(20);
  leader.boot();
  await on.sleep(500);
  first.boot();
});

export const logs = {
  powerFailsEverywhere,
  stalledLeaderReturns,
  readTailLosesPower,
  flushedEndIsDamaged,
  diskGivesNothingBack,
  fullDiskWithAnswersOnTheirWay,
  diesWhileCutting,
  cutTwiceAtOnce,
} as const;
