import { createDeferred } from "@tidemark/runtime";

/**
 * The items of a source until a signal is aborted; then the iteration throws the signal's reason at once, also while it
 * waits for the next item, and the source is told to end.
 */
export async function* untilAborted<Item>(source: AsyncIterable<Item>, signal: AbortSignal): AsyncGenerator<Item> {
  const iterator = source[Symbol.asyncIterator]();
  let rejectNext: (reason: Error) => void = () => undefined;
  const onAbort = () => rejectNext(reasonOf(signal));
  signal.addEventListener("abort", onAbort, { once: true });
  let isOver = false;
  try {
    for (;;) {
      const next = await new Promise<IteratorResult<Item>>((resolve, reject) => {
        rejectNext = reject;
        if (signal.aborted) onAbort();
        else iterator.next().then(resolve, reject);
      });
      if (next.done) {
        isOver = true;
        return;
      }
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    // Where the source waits for its next item, its end waits too: nobody here does.
    if (!isOver) iterator.return?.().catch(() => undefined);
  }
}

/**
 * The newest item of a source whenever one is asked for; those between are passed over. Each is read, and told to `onItem`,
 * as it comes, also while nobody asks. What `onItem` throws ends the iteration as an error of the source does.
 */
export async function* newestOf<Item>(source: AsyncIterable<Item>, onItem: (item: Item) => void): AsyncGenerator<Item> {
  let newest: { readonly item: Item } | undefined;
  let end: { readonly error?: unknown } | undefined;
  let news = createDeferred();
  const read = async () => {
    for await (const item of source) {
      onItem(item);
      newest = { item };
      news.resolve();
    }
  };
  const finish = (how: NonNullable<typeof end>) => {
    end = how;
    news.resolve();
  };
  read().then(
    () => finish({}),
    (error: unknown) => finish({ error }),
  );
  for (;;) {
    await news.promise;
    news = createDeferred();
    const next = newest;
    newest = undefined;
    if (next !== undefined) yield next.item;
    if (end === undefined) continue;
    if ("error" in end) throw end.error;
    return;
  }
}

/** Why a signal was aborted. */
export function reasonOf(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error ? reason : new Error("Aborted", { cause: reason });
}
