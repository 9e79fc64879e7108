import type { Logger } from "@tidemark/telemetry";

/** Work under way on disks: bounded, and waited for as a whole. */
export interface TaskGroup {
  /** Runs `work` behind `before`, when there is room for it. The result never rejects: what fails is logged. */
  run(before: Promise<void>, work: () => Promise<void>): Promise<void>;
  /** Resolves when everything that is under way now has ended. */
  settled(): Promise<void>;
}

/** At most `width` works touch the disks at a time. */
export function createTaskGroup(width: number, logger: Logger): TaskGroup {
  const active = new Set<Promise<void>>();
  const queue: (() => void)[] = [];
  let running = 0;

  const admit = (): Promise<void> => {
    if (running < width) {
      running++;
      return Promise.resolve();
    }
    return new Promise((resolve) => queue.push(resolve));
  };
  const release = () => {
    const next = queue.shift();
    if (next === undefined) running--;
    else next();
  };
  const perform = async (before: Promise<void>, work: () => Promise<void>) => {
    await before;
    await admit();
    try {
      await work();
    } catch (error) {
      logger.error("Work on a replica failed", { why: error instanceof Error ? error.message : String(error) });
    } finally {
      release();
    }
  };

  return {
    run(before, work) {
      const task = perform(before, work).finally(() => {
        active.delete(task);
      });
      active.add(task);
      return task;
    },
    async settled() {
      await Promise.all(active);
    },
  };
}
