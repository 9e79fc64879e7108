import type { Cancel, Clock, Scheduler } from "@tidemark/runtime";

/**
 * Watches operations that may hang. One timer for all of them, and none while nothing is under way.
 *
 * Time in which this process itself stood still, as a frozen one does, says nothing of a disk: a thread that was frozen
 * with it has had no time to tell what ended. However long that was, it counts as the time between two looks.
 */
export interface Watchdog {
  /** `onHang` runs once if the returned function was not called within the limit, while the process ran. */
  watch(onHang: () => void): () => void;
}

interface Watched {
  readonly since: number;
  /** Looks that there had been before it. */
  readonly looksBefore: number;
  readonly onHang: () => void;
}

/** How many times per limit the watchdog looks: a hang is told after 1 to 1 + 1 / looksPerLimit limits. */
const looksPerLimit = 4;

/** `limitMs`: milliseconds after which an operation counts as hung (`log.flush.hang.ms`). */
export function createWatchdog(
  world: { readonly clock: Clock; readonly scheduler: Scheduler },
  limitMs: number,
): Watchdog {
  // A set keeps the order of insertion, so the oldest stands first.
  const watched = new Set<Watched>();
  let cancel: Cancel | undefined;
  let looks = 0;

  const look = () => {
    cancel = undefined;
    // A stalled process runs due timers before it learns what has ended meanwhile.
    world.scheduler.afterInput(() => {
      looks += 1;
      const hungBefore = world.clock.monotonicMs() - limitMs;
      for (const operation of watched) {
        if (operation.since > hungBefore || looks - operation.looksBefore < looksPerLimit) break;
        watched.delete(operation);
        operation.onHang();
      }
      arm();
    });
  };
  const arm = () => {
    if (cancel === undefined && watched.size > 0) cancel = world.scheduler.after(limitMs / looksPerLimit, look);
  };

  return {
    watch(onHang) {
      const operation = { since: world.clock.monotonicMs(), looksBefore: looks, onHang };
      watched.add(operation);
      arm();
      return () => {
        watched.delete(operation);
        if (watched.size > 0) return;
        cancel?.();
        cancel = undefined;
      };
    },
  };
}
