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

/** Why a signal was aborted. */
export function reasonOf(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error ? reason : new Error("Aborted", { cause: reason });
}
