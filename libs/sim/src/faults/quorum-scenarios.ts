import { below } from "@tidemark/runtime";
import type { Scenario } from "./scenario.ts";
import type { Stage } from "./stage.ts";

/** The controller that leads the quorum, and the others. Undefined where there is no quorum, or none leads now. */
function quorumOf(stage: Stage) {
  const leader = stage.quorumLeader();
  if (leader === undefined || stage.controllers.length < 3) return undefined;
  return { leader, others: stage.controllers.filter((node) => node !== leader) };
}

/** Longer than anybody waits before it looks for votes, by the default timing, in milliseconds. */
const electionMs = 1500;

/** The leader of the quorum is paused or cut off, its wall clock is set back, and the others elect another one. */
const leaderClockSetBack: Scenario = async (stage) => {
  const cast = quorumOf(stage);
  if (cast === undefined) return;
  const { leader, others } = cast;
  const process = leader.process;
  const isPaused = stage.random.next() < 0.5;
  if (isPaused) process?.pause();
  else stage.cut(leader, others);
  process?.skewWallClock(-3_600_000);
  await stage.sleep(electionMs + below(stage.random, 2000));
  if (isPaused) process?.resume();
};

/** 35: all controllers lose their power at one moment, while some of their disks are busy. */
const quorumGoesDark: Scenario = async (stage) => {
  if (quorumOf(stage) === undefined) return;
  for (const node of stage.controllers) if (stage.random.next() < 0.5) stage.stall(node, below(stage.random, 400));
  await stage.sleep(below(stage.random, 400));
  for (const node of stage.controllers) node.losePower();
  for (const node of stage.controllers) {
    await stage.sleep(below(stage.random, 300));
    node.boot();
  }
};

/** 37, 39: leader after leader is cut off with entries that no other has, and all of them come back at once. */
const quorumLeadersCutOff: Scenario = async (stage) => {
  const mends: (() => void)[] = [];
  for (let round = 0; round < (stage.controllers.length - 1) / 2; round++) {
    const cast = quorumOf(stage);
    if (cast === undefined) break;
    mends.push(stage.cut(cast.leader, cast.others));
    await stage.until(() => ![undefined, cast.leader].includes(stage.quorumLeader()), 2 * electionMs);
    await stage.sleep(below(stage.random, 300));
  }
  for (const mend of mends) mend();
  await stage.sleep(below(stage.random, 1000));
};

/** 36: followers of the quorum write and cannot flush, the leader dies, and what they wrote is replaced. */
const quorumFollowersCannotFlush: Scenario = async (stage) => {
  const cast = quorumOf(stage);
  if (cast === undefined) return;
  for (const node of cast.others) stage.stall(node, 300 + below(stage.random, 1500));
  await stage.sleep(below(stage.random, 800));
  if (stage.random.next() < 0.5) cast.leader.kill();
  else cast.leader.losePower();
  await stage.sleep(below(stage.random, 1500));
  for (const node of cast.others) if (stage.random.next() < 0.3) node.losePower();
  await stage.sleep(below(stage.random, 500));
  for (const node of stage.controllers) node.boot();
};

export const quorumScenarios = {
  leaderClockSetBack,
  quorumGoesDark,
  quorumLeadersCutOff,
  quorumFollowersCannotFlush,
} as const;
