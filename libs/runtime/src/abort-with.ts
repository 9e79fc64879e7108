/**
 * Aborts `controller` as soon as one of `signals` is, with its reason. Returns what ends that; it is to be called when the
 * work is over, unless the signals end with it.
 *
 * `AbortSignal.any` does the same and needs no such end, but what hangs on its signals stays until the next full
 * collection, and it costs a hundred times as much: it is not for what happens often.
 */
export function abortWith(controller: AbortController, ...signals: readonly AbortSignal[]): () => void {
  const listening: (() => void)[] = [];
  const stop = () => {
    for (const end of listening.splice(0)) end();
  };
  for (const signal of signals) {
    if (signal.aborted) {
      stop();
      controller.abort(signal.reason);
      return stop;
    }
    const onAbort = () => {
      stop();
      controller.abort(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    listening.push(() => signal.removeEventListener("abort", onAbort));
  }
  return stop;
}
