import { below } from "@tidemark/runtime";
import { castOf, killAndAwaitRemoval } from "./cast.ts";
import type { Scenario } from "./scenario.ts";
import type { Stage } from "./stage.ts";

/** Longer than a session and the answers about the logs take, in milliseconds. */
function uncleanMs(stage: Stage): number {
  return stage.timers.sessionMs + 3000;
}

/**
 * D2, D3: a follower is away and lags, everybody who is in sync dies, and the follower is all that is left. Where unclean
 * elections are allowed it leads, and those who come back cut what it does not have; else nobody leads until then.
 */
const outsiderIsAllThatIsLeft: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  const { partition, leader, first, second } = cast;
  await killAndAwaitRemoval(stage, cast, first);
  await stage.sleep(300 + below(stage.random, 1500));
  leader.kill();
  if (stage.random.next() < 0.5) second.kill();
  else second.losePower();
  first.boot();
  await stage.until(() => stage.latest(partition).leader !== undefined, uncleanMs(stage));
  await stage.sleep(below(stage.random, 2000));
  const [early, late] = stage.random.next() < 0.5 ? [leader, second] : [second, leader];
  early.boot();
  await stage.sleep(below(stage.random, 2000));
  late.boot();
};

/** D3: twice over: who led uncleanly dies before the others are back, and one of them has another history. */
const outsidersOneAfterTheOther: Scenario = async (stage) => {
  const cast = castOf(stage);
  if (cast === undefined) return;
  const { partition, leader, first, second } = cast;
  await killAndAwaitRemoval(stage, cast, first);
  await stage.sleep(below(stage.random, 1000));
  second.kill();
  leader.kill();
  first.boot();
  const isLed = () => stage.latest(partition).leader !== undefined;
  await stage.until(isLed, uncleanMs(stage));
  await stage.sleep(below(stage.random, 500));
  first.losePower();
  await stage.until(() => !isLed(), uncleanMs(stage));
  second.boot();
  await stage.until(isLed, uncleanMs(stage));
  await stage.sleep(below(stage.random, 1000));
  first.boot();
  leader.boot();
};

/** What takes acknowledged records away where unclean elections are allowed. */
export const losingScenarios = { outsiderIsAllThatIsLeft, outsidersOneAfterTheOther } as const;
