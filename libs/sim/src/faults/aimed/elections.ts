/** Chains of faults that aim at what controllers decide and at what they keep (D2, D7, D9, R13, L10). */
import { play, replicaFetch } from "../play.ts";
import type { Scenario } from "../scenario.ts";

/** The leader's process ends, and another replica leads. */
const leaderFalls = play(async (on) => {
  const { leader } = on;
  leader.kill();
  await on.until(() => !on.leads(leader), on.timers.sessionMs + 2000);
  await on.sleep(200);
  leader.boot();
});

/** All that may lead are gone, and whoever was left behind comes back first. */
const outsiderReturnsFirst = play(async (on) => {
  const { partition, leader, first, second } = on;
  await on.killAndForget(second);
  await on.sleep(500);
  leader.kill();
  first.kill();
  await on.until(() => on.latest(partition).leader === undefined, on.timers.sessionMs + 2000);
  second.boot();
  await on.sleep(1500);
  first.boot();
  leader.boot();
});

/** 27h: two machines go dark together; the controller that finds out has heard neither of them, and so both at once. */
const twoGoDarkTogether = play(async (on) => {
  const { leader, first, second } = on;
  leader.losePower();
  first.losePower();
  for (const controller of on.controllers) on.restart(controller);
  await on.untilLeads(second, 3 * on.timers.sessionMs + 2000);
  leader.boot();
  first.boot();
});

/**
 * 21: what the active controller appends is on its way for so long that its lease ends and another one decides. To be run
 * with several controllers on an etcd.
 */
const appendArrivesLast = play(async (on) => {
  const active = on.activeController();
  if (active === undefined) return;
  const mends = on.etcds.map((member) => on.slow(active, member, 6000));
  on.second.kill();
  await on.until(() => on.activeController() !== active, 5000);
  for (const mend of mends) mend();
  await on.sleep(4000);
  on.second.boot();
});

/** 25: the controller's disk is slow, something is decided, and the power fails before it is written. */
const powerFailsBeforeTheCommit = play(async (on) => {
  const { second, controller } = on;
  on.stall(controller, 1500);
  await on.killAndForget(second);
  controller.losePower();
  on.stall(controller, 0);
  controller.boot();
  await on.sleep(1000);
  second.boot();
});

/** L10: a leader's damage is found and told, and its process ends before it could copy the replica anew. */
const damagedLeaderRestarts = play(async (on) => {
  const { partition, leader } = on;
  // What was flushed a while ago is not read when a broker starts, and what it read or wrote before is not in memory.
  await on.sleep(2000);
  on.restart(leader);
  await on.until(() => !on.leads(leader) && on.isInIsr(leader), 3000);
  await on.leadAgain(1000);
  await on.sleep(200);
  const isHarmed = on.brokers.some(({ device }) => !device.isSound);
  if (isHarmed || !leader.device.damage()) return;
  on.keepNewsFrom(leader, 1000);
  const isTold = () => on.latest(partition).replicas.some(({ damagedIn }) => damagedIn !== undefined);
  const endReading = on.readEverything();
  await on.until(isTold, 3000);
  endReading();
  on.restart(leader);
  await on.untilInIsr(leader, 5000);
  await on.sleep(100);
});

const again = "again";

/**
 * 27: a topic is deleted while a broker that holds it is away, and one of the same name is made on the others. One of
 * those starts anew while the deletion still waits for who is away. To be run with more brokers than replicas.
 */
const madeAgainWhileOneIsAway: Scenario = async (stage) => {
  const { admin } = stage.operator;
  const call = { timeoutMs: 3000 };
  const make = async () => {
    await admin.createTopic({ topic: again, partitions: 1, replicationFactor: 3 }, call);
    await stage.until(() => stage.partitions(again)[0]?.leader !== undefined, 2000);
    return stage.partitions(again)[0];
  };
  const old = await make();
  const away = old?.replicas[0]?.brokerId;
  if (old === undefined || away === undefined) return;
  stage.broker(away).kill();
  await stage.sleep(stage.timers.sessionMs + 500);
  await admin.deleteTopic({ topic: again }, call);
  const made = await make();
  if (made?.leader === undefined) return;
  const producer = stage.operator.createProducer({ lingerMs: 0, deliveryTimeoutMs: 2000 });
  for (let count = 0; count < 5; count++) await producer.send(again, { partition: 0, value: new Uint8Array(100) });
  await producer.close();
  const restarted = stage.broker(made.leader);
  // Were it to ask its leader, that would see at once what is missing, and let it have it.
  for (const node of stage.brokers) if (node !== restarted) stage.hold(restarted, node, replicaFetch, 3000);
  for (let round = 0; round < 2; round++) {
    restarted.kill();
    restarted.boot();
    await stage.sleep(600);
  }
  stage.broker(away).boot();
  await stage.sleep(1500);
  await admin.deleteTopic({ topic: again }, call);
  await stage.until(() => stage.partitions(again).length === 0, 2000);
};

export const elections = {
  leaderFalls,
  outsiderReturnsFirst,
  twoGoDarkTogether,
  appendArrivesLast,
  powerFailsBeforeTheCommit,
  damagedLeaderRestarts,
  madeAgainWhileOneIsAway,
} as const;
