import type { Engine } from "../engine/engine.ts";
import { takeTurns } from "../node/process.ts";

/** As long as anything that is waited for may take, in milliseconds of the run. */
const patienceMs = 120_000;
/** How often is asked again, in milliseconds of the run. */
const askMs = 50;

/** Waits for what happens while the time of a run passes. */
export interface PassingTime {
  /** Rejects with `what` where the condition does not come to hold. */
  until(condition: () => boolean, what: string): Promise<void>;
  runFor(ms: number): Promise<void>;
  /** As the promise settles. */
  settled<Value>(promise: Promise<Value>, what: string): Promise<Value>;
  /** The first answer of which `isIt` is true. Calls that fail are made again, as those with other answers. */
  answered<Value>(ask: () => Promise<Value>, isIt: (answer: Value) => boolean, what: string): Promise<Value>;
}

/** `explain` adds to the error of what was not reached. */
export function createPassingTime(engine: Engine, explain: () => string = () => ""): PassingTime {
  const until = (condition: () => boolean, what: string): Promise<void> => {
    const giveUpMs = engine.nowMs + patienceMs;
    return takeTurns(() => {
      if (condition()) return false;
      if (engine.nowMs > giveUpMs) throw new Error(`Not reached: ${what}\n${explain()}`);
      return engine.step(Number.MAX_VALUE);
    });
  };
  const runFor = (ms: number) => {
    const endMs = engine.nowMs + ms;
    return until(() => engine.nowMs >= endMs, "time passes");
  };
  const settled = async <Value>(promise: Promise<Value>, what: string): Promise<Value> => {
    let isSettled = false;
    const settle = () => {
      isSettled = true;
    };
    promise.then(settle, settle);
    await until(() => isSettled, what);
    return promise;
  };
  return {
    until,
    runFor,
    settled,
    async answered(ask, isIt, what) {
      const giveUpMs = engine.nowMs + patienceMs;
      for (;;) {
        const answer = await settled(
          ask().then(
            (value) => ({ value }),
            () => undefined,
          ),
          what,
        );
        if (answer !== undefined && isIt(answer.value)) return answer.value;
        if (engine.nowMs > giveUpMs) throw new Error(`Not reached: ${what}\n${explain()}`);
        await runFor(askMs);
      }
    },
  };
}
