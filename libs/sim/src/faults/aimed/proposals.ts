/** Chains of faults that aim at what a leader makes of the answers to its ISR proposals (R6, case 15 and 20j). */
import { alterPartition, play, watchMetadata } from "../play.ts";

/**
 * A follower is taken in, whose answer is late and of which no news come; then something else changes, so that the
 * repeated proposal fails by its partition epoch.
 */
const repeatFailsByItsEpoch = play(async (on) => {
  const { leader, second, controller, topic } = on;
  await on.killAndForget(second);
  const mend = on.hold(controller, leader, alterPartition, 4000);
  on.keepNewsFrom(leader, 4000);
  second.boot();
  await on.untilInIsr(second, 4000);
  on.cut(second, [leader]);
  mend();
  const { admin } = on.operator;
  await admin.configureTopic({ topic, set: { "min.insync.replicas": "1" } }, { timeoutMs: 2000 });
  await admin.configureTopic({ topic, unset: ["min.insync.replicas"] }, { timeoutMs: 2000 });
  await on.sleep(1600);
});

/** 20j: the first attempt is late, the second is refused for want of room, and then the first arrives. */
const refusedBeforeTheFirstArrives = play(async (on) => {
  const { leader, second, controller } = on;
  await on.killAndForget(second);
  const mend = on.hold(leader, controller, alterPartition, 3000);
  second.boot();
  const proposal = () => on.known(leader)?.leadership?.proposal;
  if (!(await on.until(() => proposal() !== undefined, 4000))) return;
  mend();
  on.cut(second, [leader]);
  const { faults, memory } = controller.device;
  faults.capacity = memory.usedBytes();
  await on.until(() => proposal()?.kind !== "proposed", 1500);
  faults.capacity = Number.POSITIVE_INFINITY;
  // Were it to hear of the first one's success at once, it would see at once who lacks something.
  for (const call of [alterPartition, watchMetadata]) on.hold(controller, leader, call, 2000);
  await on.sleep(2500);
});

/** 15: the answer to a removal comes when the follower is back in the ISR, and lags again. */
const answerOfAnOlderState = play(async (on) => {
  const { leader, second, controller } = on;
  const lateMs = 3000;
  const answerInTime = on.hold(controller, leader, alterPartition, lateMs);
  const reach = on.cut(second, [leader]);
  if (!(await on.untilOutOfIsr(second))) return;
  answerInTime();
  reach();
  const arrives = on.sleep(lateMs - 600);
  await on.untilInIsr(second, lateMs - 700);
  await arrives;
  on.cut(second, [leader]);
  await on.sleep(1200);
});

export const proposals = {
  repeatFailsByItsEpoch,
  refusedBeforeTheFirstArrives,
  answerOfAnOlderState,
} as const;
