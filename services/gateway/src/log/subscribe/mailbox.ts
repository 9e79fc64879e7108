import { createDeferred, type Deferred } from "@tidemark/runtime";

/** Hands items from several givers to one taker. Each giver waits until its item was taken, so no more is held than that. */
export interface Mailbox<Item> {
  /** Resolves when the item was taken; with false when nobody takes any more. */
  give(item: Item): Promise<boolean>;
  /** The next item, in the order in which they were given; undefined once `wake` was called with none there. */
  take(): Promise<Item | undefined>;
  /** Lets the taker look around. */
  readonly wake: () => void;
  /** Nobody takes any more. */
  readonly close: () => void;
}

export function createMailbox<Item>(): Mailbox<Item> {
  const waiting: { readonly item: Item; readonly taken: Deferred<boolean> }[] = [];
  let taker: Deferred<void> | undefined;
  let isAwake = false;
  let isClosed = false;
  const wake = () => {
    isAwake = true;
    taker?.resolve();
  };
  return {
    wake,
    give(item) {
      if (isClosed) return Promise.resolve(false);
      const taken = createDeferred<boolean>();
      waiting.push({ item, taken });
      taker?.resolve();
      return taken.promise;
    },
    async take() {
      if (waiting.length === 0 && !isAwake) {
        taker = createDeferred();
        await taker.promise;
        taker = undefined;
      }
      const next = waiting.shift();
      if (next === undefined) {
        isAwake = false;
        return undefined;
      }
      next.taken.resolve(true);
      return next.item;
    },
    close() {
      isClosed = true;
      for (const { taken } of waiting.splice(0)) taken.resolve(false);
    },
  };
}
