import { below } from "@tidemark/runtime";
import { elections } from "./aimed/elections.ts";
import { logs } from "./aimed/logs.ts";
import { positions } from "./aimed/positions.ts";
import { proposals } from "./aimed/proposals.ts";
import { castOf } from "./cast.ts";
import { losingScenarios } from "./losing-scenarios.ts";
import { quorumScenarios } from "./quorum-scenarios.ts";
import type { Scenario } from "./scenario.ts";
import type { Stage } from "./stage.ts";

/** The leader's disk stands still while it serves, it loses its power, and is back before anybody missed it. */
const stalledLeaderLosesPower: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  const { leader } = cast;
  stage.stall(leader, 1000);
  await stage.sleep(100 + below(stage.random, 600));
  leader.losePower();
  leader.boot();
};

/** Followers fetch and cannot flush; then they and the leader lose their power. */
const stalledFollowersLosePower: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  const { leader, first, second } = cast;
  for (const node of [first, second]) stage.stall(node, 1500);
  await stage.sleep(100 + below(stage.random, 1000));
  for (const node of [first, second]) node.losePower();
  if (stage.random.next() < 0.5) leader.losePower();
  else leader.kill();
  await stage.sleep(20);
  for (const node of [first, second]) node.boot();
  await stage.sleep(3000);
  leader.boot();
};

/** 20k: followers are killed with a tail that was never flushed, come back with it, and then the power fails. */
const killWithUnflushedTail: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  const { leader, first, second } = cast;
  const followers = [first, second];
  for (const node of followers) stage.stall(node, 3000);
  await stage.sleep(200 + below(stage.random, 600));
  for (const node of followers) {
    node.kill();
    stage.stall(node, 0);
    node.boot();
  }
  await stage.until(() => followers.every(({ service }) => service !== undefined), 3000);
  await stage.sleep(below(stage.random, 150));
  for (const node of followers) node.losePower();
  leader.kill();
  await stage.sleep(50);
  for (const node of followers) node.boot();
  await stage.sleep(stage.timers.sessionMs + 1500);
  leader.boot();
};

/** 9: a follower restarts before it learnt the high watermark, and then the leader dies. */
const restartBeforeHighWatermark: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  const { leader, first, second } = cast;
  second.kill();
  await stage.sleep(below(stage.random, 300));
  first.kill();
  first.boot();
  await stage.until(() => first.service !== undefined, 2000);
  await stage.sleep(below(stage.random, 60));
  leader.kill();
  await stage.sleep(stage.timers.sessionMs + 1000);
  leader.boot();
  second.boot();
};

/** 10: leader after leader goes while each writes records that no other has. */
const quickLeaderChanges: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  for (let change = 0; change < 3; change++) {
    const { leader } = stage.latest(cast.partition);
    if (leader === undefined) break;
    const node = stage.broker(leader);
    const others = [cast.leader, cast.first, cast.second].filter((each) => each !== node);
    stage.cut(node, others);
    await stage.sleep(50 + below(stage.random, 200));
    if (stage.random.next() < 0.5) node.kill();
    else node.losePower();
    await stage.until(() => stage.latest(cast.partition).leader !== leader, 3000);
    await stage.sleep(below(stage.random, 100));
    node.boot();
    await stage.sleep(below(stage.random, 300));
  }
};

/** 10, 11, 20f: leadership wanders between processes that live on, each with records that no other has. */
const leadershipWanders: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  const nodes = [cast.leader, cast.first, cast.second];
  for (let change = 0; change < 4; change++) {
    const { leader } = stage.latest(cast.partition);
    if (leader === undefined) break;
    const node = stage.broker(leader);
    const mend = stage.cut(node, [...nodes.filter((each) => each !== node), ...stage.controllers]);
    const isOther = () => ![leader, undefined].includes(stage.latest(cast.partition).leader);
    await stage.until(isOther, stage.timers.sessionMs + 3000);
    // Where it comes back its disk is busy, so that it cuts its log while a flush is out.
    if (stage.random.next() < 0.5) for (const each of nodes) stage.stall(each, below(stage.random, 500));
    await stage.sleep(below(stage.random, 300));
    mend();
    await stage.sleep(below(stage.random, 600));
  }
};

/** 15: a follower lags, the leader proposes to remove it, nobody hears that, and the follower is elected. */
const shrinkThatNobodyHears: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  const { leader, first } = cast;
  stage.cut(leader, [first]);
  await stage.sleep(stage.timers.lagMs - below(stage.random, 300));
  for (const controller of stage.controllers) stage.cutOneWay(leader, controller);
  await stage.until(() => stage.latest(cast.partition).leader !== cast.partition.leader, stage.timers.sessionMs + 3000);
  await stage.sleep(1000);
};

/** 15: the same, but only the answers are lost, and one follower comes back while the change is not settled. */
const shrinkWhoseAnswerIsLost: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  const { leader, first } = cast;
  const mend = stage.cut(leader, [first]);
  await stage.sleep(stage.timers.lagMs - below(stage.random, 200));
  const mendAnswers = stage.controllers.map((controller) => stage.cutOneWay(controller, leader));
  await stage.sleep(300 + below(stage.random, 600));
  mend();
  await stage.sleep(below(stage.random, 600));
  for (const each of mendAnswers) each();
  await stage.sleep(below(stage.random, 300));
  leader.kill();
  await stage.sleep(stage.timers.sessionMs);
  leader.boot();
};

/** 15: a follower is taken into the ISR, the leader does not hear of it, and the follower is all that is left. */
const expansionWhoseAnswerIsLost: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  const { partition, leader, first, second } = cast;
  const hasFirst = () => stage.latest(partition).isr.some((id) => stage.broker(id) === first);
  first.kill();
  await stage.until(() => !hasFirst(), stage.timers.sessionMs + 3000);
  first.boot();
  await stage.until(() => first.service !== undefined, 3000);
  for (const controller of stage.controllers) stage.cutOneWay(controller, leader);
  await stage.until(hasFirst, 2000);
  stage.cut(first, [leader]);
  await stage.sleep(300 + below(stage.random, 700));
  leader.kill();
  second.kill();
  await stage.sleep(stage.timers.sessionMs + 1500);
  leader.boot();
  second.boot();
};

/** 22: a leader is cut off from controller and followers, and clients still reach it. */
const leaderThatClientsReach: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  const { leader, first, second } = cast;
  stage.cut(leader, [first, second, ...stage.controllers]);
  await stage.sleep(2 * stage.timers.sessionMs + below(stage.random, 2000));
};

/** 18, 19: the replicas go one after the other, the last one standing with a loss, and come back in another order. */
const lastOneStanding: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  const { leader, first, second } = cast;
  first.kill();
  await stage.until(() => stage.latest(cast.partition).isr.length < 3, stage.timers.sessionMs + 2000);
  await stage.sleep(below(stage.random, 500));
  second.kill();
  await stage.until(() => stage.latest(cast.partition).isr.length < 2, stage.timers.sessionMs + 2000);
  await stage.sleep(below(stage.random, 500));
  stage.stall(leader, 1000);
  await stage.sleep(below(stage.random, 500));
  leader.losePower();
  first.boot();
  await stage.sleep(below(stage.random, 3000));
  second.boot();
  await stage.sleep(below(stage.random, 3000));
  leader.boot();
};

/** 16: a follower is restarted again and again while it is about to return to the ISR. */
const restartAtReentry: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  const { leader, first } = cast;
  first.kill();
  await stage.until(() => !stage.latest(cast.partition).isr.some((id) => stage.broker(id) === first), 8000);
  for (let round = 0; round < 4; round++) {
    first.boot();
    await stage.until(() => first.service !== undefined, 2000);
    await stage.sleep(below(stage.random, 150));
    stage.stall(first, 200);
    await stage.sleep(below(stage.random, 100));
    first.losePower();
    await stage.sleep(below(stage.random, 100));
  }
  first.boot();
  await stage.sleep(below(stage.random, 300));
  leader.kill();
  await stage.sleep(2000);
  leader.boot();
};

/** All machines lose their power at one moment, while their disks are busy. */
const everythingGoesDark: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  const nodes = [cast.leader, cast.first, cast.second];
  for (const node of nodes) if (stage.random.next() < 0.5) stage.stall(node, below(stage.random, 400));
  await stage.sleep(below(stage.random, 400));
  for (const node of nodes) node.losePower();
  for (const node of nodes) {
    await stage.sleep(below(stage.random, 500));
    node.boot();
  }
};

/** A leader stands still, another is elected, and the first goes on in the belief that it leads. */
const pausedLeaderWakes: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  const process = cast.leader.process;
  process?.pause();
  await stage.until(() => stage.latest(cast.partition).leader !== cast.partition.leader, stage.timers.sessionMs + 2000);
  await stage.sleep(below(stage.random, 500));
  process?.resume();
  await stage.sleep(below(stage.random, 200));
};

/** How long no controller lives, and how often it is looked whether brokers go on, in milliseconds. */
const away = { totalMs: 60_000, lookMs: 5000 } as const;

/**
 * 22: every controller is gone for a minute. Brokers go on: more is committed, and what was committed last is read, in each
 * part of it. What is not so is waited for in vain, which the history of the run tells.
 */
const controllersAway: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  const { partition } = cast;
  for (const node of stage.controllers) node.kill();
  for (let pastMs = 0; pastMs < away.totalMs; pastMs += away.lookMs) {
    const before = stage.committed(partition);
    await stage.sleep(away.lookMs);
    await stage.until(() => stage.committed(partition) > before, 1);
    await readsOn(stage, partition.partition, before);
  }
  for (const node of stage.controllers) node.boot();
};

/** Whether a read from `offset` brings something. */
async function readsOn(stage: Stage, partition: number, offset: bigint): Promise<boolean> {
  const { topic, operator } = stage;
  const partitions = [{ partition, start: { case: "offset", value: offset } as const }];
  let wasRead = false;
  try {
    const { partitions: read } = await operator.log.fetch({ topic, partitions }, { timeoutMs: 2000 });
    wasRead = read.some(({ nextOffset }) => nextOffset > offset);
  } catch (error) {
    stage.note(`read in vain: ${String(error)}`);
  }
  return stage.until(() => wasRead, 1);
}

export const scenarios = {
  stalledLeaderLosesPower,
  stalledFollowersLosePower,
  killWithUnflushedTail,
  restartBeforeHighWatermark,
  quickLeaderChanges,
  leadershipWanders,
  shrinkThatNobodyHears,
  shrinkWhoseAnswerIsLost,
  expansionWhoseAnswerIsLost,
  leaderThatClientsReach,
  lastOneStanding,
  restartAtReentry,
  everythingGoesDark,
  pausedLeaderWakes,
  controllersAway,
  ...elections,
  ...logs,
  ...positions,
  ...proposals,
  ...losingScenarios,
  ...quorumScenarios,
} as const satisfies Readonly<Record<string, Scenario>>;

export type ScenarioName = keyof typeof scenarios;

export const scenarioNames = Object.keys(scenarios) as readonly ScenarioName[];

/** Those that runs draw: one that keeps controllers away for a minute leaves too little of a run for elections. */
export const drawnScenarioNames = scenarioNames.filter((name) => name !== "controllersAway");
