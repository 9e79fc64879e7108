import { createDeferred } from "@tidemark/runtime";
import { detached } from "../detached.ts";

/** Tasks that run one behind the other, in the order of the calls. */
export interface SerialQueue {
  run<Value>(task: () => Promise<Value>): Promise<Value>;
  /** Resolves when nothing is left to run. */
  drained(): Promise<void>;
}

/** `onIdle` runs whenever nothing is left to run, before the next task. */
export function createSerialQueue(onIdle: () => Promise<void>): SerialQueue {
  const tasks: (() => Promise<void>)[] = [];
  let running: Promise<void> | undefined;

  const runAll = async () => {
    for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) {
      await task();
      if (tasks.length === 0) await onIdle();
    }
    running = undefined;
  };

  return {
    run<Value>(task: () => Promise<Value>) {
      const done = createDeferred<Value>();
      tasks.push(async () => {
        try {
          done.resolve(await task());
        } catch (error) {
          done.reject(error instanceof Error ? error : new Error("A task failed", { cause: error }));
        }
      });
      if (running === undefined) {
        running = runAll();
        detached(running);
      }
      return done.promise;
    },
    async drained() {
      await running;
    },
  };
}
