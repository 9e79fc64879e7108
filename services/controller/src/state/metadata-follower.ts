import type { Consensus, WatchEvent } from "@tidemark/consensus";
import { type Revision, revision } from "@tidemark/ids";
import {
  type Applied,
  applyChanges,
  emptyImage,
  type MetadataChange,
  type MetadataDelta,
  type MetadataImage,
  replaceImage,
} from "@tidemark/metadata";
import { createDeferred } from "@tidemark/runtime";
import { stopping } from "../errors.ts";
import { type ChangeHistory, createChangeHistory, type HistoryLimits } from "./change-history.ts";
import { fromStoreChange } from "./store-codec.ts";

/** One step of the image: a committed batch, or a snapshot in place of everything before. */
interface FollowedStep {
  readonly revision: Revision;
  readonly image: MetadataImage;
  readonly delta: MetadataDelta;
}

/**
 * The metadata as the store's watch tells it: what is committed, in order, and nothing else. It is the only writer of
 * the image, on the active controller as on a standby; decisions reach the image through the store.
 */
export interface MetadataFollower {
  readonly image: MetadataImage;
  /** 0 before the first snapshot. */
  readonly revision: Revision;
  readonly history: ChangeHistory;
  /** Resolves when the image holds this revision. Rejects with the signal's reason, or when following ended. */
  reached(revision: Revision, signal?: AbortSignal): Promise<void>;
  /** Calls back after each step, in order. The listeners must not throw. Returns how to stop that. */
  onStep(listener: (step: FollowedStep) => void): () => void;
  /** Follows until the signal is aborted or the store closes; throws what the watch throws. Called once. */
  run(signal: AbortSignal): Promise<void>;
}

export interface FollowerOptions {
  readonly consensus: Pick<Consensus, "watch">;
  readonly historyLimits: HistoryLimits;
  /** A value that cannot be read. */
  readonly onMalformed: (key: string, message: string) => void;
}

interface Waiter {
  readonly revision: Revision;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export function createMetadataFollower(options: FollowerOptions): MetadataFollower {
  const history = createChangeHistory(options.historyLimits);
  const listeners = new Set<(step: FollowedStep) => void>();
  const waiters = new Set<Waiter>();
  let image = emptyImage;
  let current = revision(0n);
  let ended: Error | undefined;

  const step = (event: WatchEvent) => {
    const { applied, changes } = applyEvent(image, event);
    const before = image.malformed;
    image = applied.image;
    current = event.revision;
    if (event.kind === "snapshot") history.reset(event.revision);
    else if (changes.length > 0) history.add({ revision: event.revision, changes });
    for (const [key, message] of image.malformed) {
      if (before.get(key) !== message) options.onMalformed(key, message);
    }
    for (const listener of listeners) listener({ revision: current, image, delta: applied.delta });
    for (const waiter of waiters) {
      if (waiter.revision > current) continue;
      waiters.delete(waiter);
      waiter.resolve();
    }
  };

  return {
    get image() {
      return image;
    },
    get revision() {
      return current;
    },
    history,
    async reached(wanted, signal) {
      if (wanted <= current) return;
      if (ended !== undefined) throw ended;
      signal?.throwIfAborted();
      const { promise, resolve, reject } = createDeferred();
      const waiter: Waiter = { revision: wanted, resolve, reject };
      waiters.add(waiter);
      const onAbort = () => {
        waiters.delete(waiter);
        reject(signal?.reason instanceof Error ? signal.reason : new Error("Aborted", { cause: signal?.reason }));
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      await promise.finally(() => signal?.removeEventListener("abort", onAbort));
    },
    onStep(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    async run(signal) {
      try {
        for await (const event of options.consensus.watch(signal)) step(event);
      } finally {
        ended = stopping();
        for (const waiter of waiters) waiter.reject(ended);
        waiters.clear();
      }
    },
  };
}

function applyEvent(
  image: MetadataImage,
  event: WatchEvent,
): { readonly applied: Applied; readonly changes: readonly MetadataChange[] } {
  const changes: MetadataChange[] = [];
  const push = (change: MetadataChange | undefined) => {
    if (change !== undefined) changes.push(change);
  };
  if (event.kind === "batch") for (const change of event.changes) push(fromStoreChange(change));
  else for (const [key, value] of event.entries) push(fromStoreChange({ kind: "put", key, value }));
  const apply = event.kind === "batch" ? applyChanges : replaceImage;
  return { applied: apply(image, changes), changes };
}
