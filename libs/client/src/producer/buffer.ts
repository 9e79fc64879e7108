/** Bytes that are not settled yet, and who waits for there to be fewer. */
export interface Buffer {
  readonly isFull: () => boolean;
  readonly take: (bytes: number) => void;
  readonly give: (bytes: number) => void;
  /**
   * Resolves when it is not full; it may be full again by the time the caller goes on. Rejects with the signal's reason
   * once that is aborted.
   */
  readonly writable: (signal?: AbortSignal) => Promise<void>;
}

export function createBuffer(bytesMax: number): Buffer {
  let bytes = 0;
  const waiting = new Set<() => void>();
  const isFull = () => bytes >= bytesMax;
  return {
    isFull,
    take: (added) => {
      bytes += added;
    },
    give(freed) {
      bytes -= freed;
      if (!isFull()) for (const goOn of waiting) goOn();
    },
    async writable(signal) {
      signal?.throwIfAborted();
      if (!isFull()) return;
      await new Promise<void>((resolve) => {
        const goOn = () => {
          waiting.delete(goOn);
          signal?.removeEventListener("abort", goOn);
          resolve();
        };
        waiting.add(goOn);
        signal?.addEventListener("abort", goOn, { once: true });
      });
      signal?.throwIfAborted();
    },
  };
}
