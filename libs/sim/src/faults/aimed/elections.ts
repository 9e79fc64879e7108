/** Chains of faults that aim at what controllers decide and at what they keep (D2, D7, D9, R13, L10). */
import { castInOrder, electPreferred, isInIsr, killAndAwaitRemoval, leads } from "../cast.ts";
import type { Scenario } from "../scenario.ts";

/** The leader's process ends, and another replica leads. */
const leaderFalls: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  if (cast === undefined) return;
  const { partition, leader } = cast;
  leader.kill();
  await stage.until(() => !leads(stage, partition, leader), stage.timers.sessionMs + 2000);
  await stage.sleep(200);
  leader.boot();
};

/** All that may lead are gone, and whoever was left behind comes back first. */
const outsiderReturnsFirst: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  if (cast === undefined) return;
  const { partition, leader, first, second } = cast;
  await killAndAwaitRemoval(stage, cast, second);
  await stage.sleep(500);
  leader.kill();
  first.kill();
  await stage.until(() => stage.latest(partition).leader === undefined, stage.timers.sessionMs + 2000);
  second.boot();
  await stage.sleep(1500);
  first.boot();
  leader.boot();
};

/** 27h: two machines go dark together; the controller that finds out has heard neither of them, and so both at once. */
const twoGoDarkTogether: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  if (cast === undefined) return;
  const { partition, leader, first, second } = cast;
  leader.losePower();
  first.losePower();
  for (const controller of stage.controllers) {
    controller.kill();
    controller.boot();
  }
  await stage.until(() => leads(stage, partition, second), 3 * stage.timers.sessionMs + 2000);
  leader.boot();
  first.boot();
};

/**
 * 21: what the active controller appends is on its way for so long that its lease ends and another one decides. To be run
 * with several controllers on an etcd.
 */
const appendArrivesLast: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  const active = stage.activeController();
  if (cast === undefined || active === undefined) return;
  const mends = stage.etcds.map((member) => stage.slow(active, member, 6000));
  cast.second.kill();
  await stage.until(() => stage.activeController() !== active, 5000);
  for (const mend of mends) mend();
  await stage.sleep(4000);
  cast.second.boot();
};

/** 25: the controller's disk is slow, something is decided, and the power fails before it is written. */
const powerFailsBeforeTheCommit: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  const [controller] = stage.controllers;
  if (cast === undefined || controller === undefined) return;
  const { partition, second } = cast;
  stage.stall(controller, 1500);
  second.kill();
  await stage.until(() => !isInIsr(stage, partition, second), stage.timers.sessionMs + 3000);
  controller.losePower();
  stage.stall(controller, 0);
  controller.boot();
  await stage.sleep(1000);
  second.boot();
};

/** L10: a leader's damage is found and told, and its process ends before it could copy the replica anew. */
const damagedLeaderRestarts: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  if (cast === undefined) return;
  const { partition, leader } = cast;
  // What was flushed a while ago is not read when a broker starts, and what it read or wrote before is not in memory.
  await stage.sleep(2000);
  leader.kill();
  leader.boot();
  await stage.until(() => !leads(stage, partition, leader) && isInIsr(stage, partition, leader), 3000);
  await electPreferred(stage);
  await stage.until(() => leads(stage, partition, leader), 1000);
  await stage.sleep(200);
  const isHarmed = stage.brokers.some(({ device }) => device.wasDamaged || device.wasLost);
  if (isHarmed || !leader.device.damage()) return;
  for (const controller of stage.controllers) stage.hold(controller, leader, "WatchMetadata", 1000);
  const isTold = () => stage.latest(partition).replicas.some(({ damagedIn }) => damagedIn !== undefined);
  const reading = new AbortController();
  const whole = stage.operator.createConsumer({ topic: stage.topic, untilEnd: true });
  const read = async () => {
    for await (const batch of whole.batches(reading.signal)) if (batch.records.length < 0) break;
  };
  read().catch(() => undefined);
  await stage.until(isTold, 3000);
  reading.abort();
  leader.kill();
  leader.boot();
  await stage.until(() => isInIsr(stage, partition, leader), 5000);
  await stage.sleep(100);
};

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
  for (const node of stage.brokers) if (node !== restarted) stage.hold(restarted, node, "tidemark.replica.v1", 3000);
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
