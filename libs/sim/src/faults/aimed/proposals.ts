/** Chains of faults that aim at what a leader makes of the answers to its ISR proposals (R6, case 15 and 20j). */
import { castInOrder, isInIsr, killAndAwaitRemoval } from "../cast.ts";
import type { Scenario } from "../scenario.ts";

const alterPartition = "AlterPartition";
const watchMetadata = "WatchMetadata";

/**
 * A follower is taken in, whose answer is late and of which no news come; then something else changes, so that the
 * repeated proposal fails by its partition epoch.
 */
const repeatFailsByItsEpoch: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  if (cast === undefined) return;
  const { partition, leader, second } = cast;
  const [controller] = stage.controllers;
  if (controller === undefined) return;
  await killAndAwaitRemoval(stage, cast, second);
  const mend = stage.hold(controller, leader, alterPartition, 4000);
  stage.hold(controller, leader, watchMetadata, 4000);
  second.boot();
  await stage.until(() => isInIsr(stage, partition, second), 4000);
  stage.cut(second, [leader]);
  mend();
  const topic = stage.topic;
  const { admin } = stage.operator;
  await admin.configureTopic({ topic, set: { "min.insync.replicas": "1" } }, { timeoutMs: 2000 });
  await admin.configureTopic({ topic, unset: ["min.insync.replicas"] }, { timeoutMs: 2000 });
  await stage.sleep(1600);
};

/** 20j: the first attempt is late, the second is refused for want of room, and then the first arrives. */
const refusedBeforeTheFirstArrives: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  if (cast === undefined) return;
  const { partition, leader, second } = cast;
  const [controller] = stage.controllers;
  if (controller === undefined) return;
  await killAndAwaitRemoval(stage, cast, second);
  const mend = stage.hold(leader, controller, alterPartition, 3000);
  second.boot();
  const proposal = () => stage.view(leader, partition)?.leadership?.proposal;
  if (!(await stage.until(() => proposal() !== undefined, 4000))) return;
  mend();
  stage.cut(second, [leader]);
  const { faults, memory } = controller.device;
  faults.capacity = memory.usedBytes();
  await stage.until(() => proposal()?.kind !== "proposed", 1500);
  faults.capacity = Number.POSITIVE_INFINITY;
  // Were it to hear of the first one's success at once, it would see at once who lacks something.
  for (const call of [alterPartition, watchMetadata]) stage.hold(controller, leader, call, 2000);
  await stage.sleep(2500);
};

/** 15: the answer to a removal comes when the follower is back in the ISR, and lags again. */
const answerOfAnOlderState: Scenario = async (stage) => {
  const cast = await castInOrder(stage);
  if (cast === undefined) return;
  const { partition, leader, second } = cast;
  const [controller] = stage.controllers;
  if (controller === undefined) return;
  const lateMs = 3000;
  const answerInTime = stage.hold(controller, leader, alterPartition, lateMs);
  const reach = stage.cut(second, [leader]);
  if (!(await stage.until(() => !isInIsr(stage, partition, second), stage.timers.lagMs + 2000))) return;
  answerInTime();
  reach();
  const arrives = stage.sleep(lateMs - 600);
  await stage.until(() => isInIsr(stage, partition, second), lateMs - 700);
  await arrives;
  stage.cut(second, [leader]);
  await stage.sleep(1200);
};

export const proposals = {
  repeatFailsByItsEpoch,
  refusedBeforeTheFirstArrives,
  answerOfAnOlderState,
} as const;
