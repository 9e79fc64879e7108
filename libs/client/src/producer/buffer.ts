import { createDeferred, type Deferred } from "@tidemark/runtime";

/** Bytes that are not settled yet, and who waits for there to be fewer. */
export interface Buffer {
  readonly isFull: () => boolean;
  readonly take: (bytes: number) => void;
  readonly give: (bytes: number) => void;
  /** Resolves when it is not full; it may be full again by the time the caller goes on. */
  readonly writable: () => Promise<void>;
}

export function createBuffer(bytesMax: number): Buffer {
  let bytes = 0;
  let room: Deferred<void> | undefined;
  const isFull = () => bytes >= bytesMax;
  return {
    isFull,
    take: (added) => {
      bytes += added;
    },
    give(freed) {
      bytes -= freed;
      if (isFull()) return;
      room?.resolve();
      room = undefined;
    },
    async writable() {
      if (!isFull()) return;
      room ??= createDeferred();
      await room.promise;
    },
  };
}
