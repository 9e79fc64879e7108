import { createDeferred } from "@tidemark/runtime";

/**
 * The order of sends that wait, whatever each of them waits for: that its topic is known, or room in the buffer. Whoever
 * goes on behind an `await` goes on a little later than whoever has nothing to wait for any more, and would be overtaken.
 */
export interface Turns {
  /** Whether somebody waits who is to go first. */
  isTaken(topic: string): boolean;
  /** A turn behind all that were taken for the topic and have not ended. */
  take(topic: string): Turn;
}

/** The place of one send. */
export interface Turn {
  /** Resolves when all earlier turns have ended. */
  readonly before: Promise<void>;
  /** To be called once in any case: the record was taken in, or is not sent. */
  end(): void;
}

export function createTurns(): Turns {
  const last = new Map<string, Promise<void>>();
  return {
    isTaken: (topic) => last.has(topic),
    take(topic) {
      const before = last.get(topic) ?? Promise.resolve();
      const ended = createDeferred();
      // One that is given up early ends no turn before it.
      const over = ended.promise.then(() => before);
      last.set(topic, over);
      const forget = () => {
        if (last.get(topic) === over) last.delete(topic);
      };
      over.then(forget, forget);
      return { before, end: () => ended.resolve() };
    },
  };
}
