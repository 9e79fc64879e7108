import { bytesOfBatch } from "./batch.ts";
import type { WatchEvent } from "./consensus.ts";
import type { EventSink } from "./events.ts";

/** What one watch may hold for its reader. Past either, the reader goes on with a snapshot. */
export interface WatchBounds {
  readonly batchesMax: number;
  readonly bytesMax: number;
}

export const watchBounds: WatchBounds = { batchesMax: 4_096, bytesMax: 8 * 1024 * 1024 };

type Snapshot = WatchEvent & { readonly kind: "snapshot" };
type Batch = WatchEvent & { readonly kind: "batch" };

/** One watch: what waits for its reader. */
export interface Watcher {
  /** `bytes`: of the batch, keys and values together. */
  offer(batch: Batch, bytes: number): void;
  /** Drops what waits: the reader goes on with a snapshot. */
  startOver(): void;
  /** The next event. Undefined: there is none yet. `snapshot` makes one of what is there now, where there is anything. */
  take(snapshot: () => Snapshot | undefined): WatchEvent | undefined;
}

export function createWatcher(bounds: WatchBounds, onEvent: EventSink): Watcher {
  let queue: Batch[] = [];
  let bytesQueued = 0;
  let needsSnapshot = true;

  const startOver = () => {
    queue = [];
    bytesQueued = 0;
    needsSnapshot = true;
  };

  return {
    offer(batch, bytes) {
      if (needsSnapshot) return;
      queue.push(batch);
      bytesQueued += bytes;
      if (queue.length <= bounds.batchesMax && bytesQueued <= bounds.bytesMax) return;
      onEvent({ kind: "watcherBehind", batchesDropped: queue.length });
      startOver();
    },
    startOver,
    take(snapshot) {
      if (needsSnapshot) {
        const event = snapshot();
        needsSnapshot = event === undefined;
        return event;
      }
      const batch = queue.shift();
      if (batch !== undefined) bytesQueued -= bytesOfBatch(batch.changes);
      return batch;
    },
  };
}
