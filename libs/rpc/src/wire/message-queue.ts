import type { TidemarkError } from "../errors/tidemark-error.ts";

/** The messages of one direction of a call as an iterable for one reader. */
export interface MessageQueue<Message> extends AsyncIterable<Message> {
  readonly push: (message: Message) => void;
  /** No more messages. With an error the reader gets it after the messages that came before. */
  end(error?: TidemarkError): void;
}

/** What the queue asks of its source. */
export interface MessageSource {
  /** Nothing more fits: stop until `resume`. */
  readonly pause: () => void;
  readonly resume: () => void;
  /** The reader left before the end. Absent: what still comes is passed over. */
  readonly abandon?: () => void;
}

/**
 * Holds at most one message that nobody has asked for, besides what was on its way: the source is paused while there is
 * one, so a reader that stops holds back the peer.
 */
export function createMessageQueue<Message>(source: MessageSource): MessageQueue<Message> {
  const waiting: Message[] = [];
  let end: { readonly error: TidemarkError | undefined } | undefined;
  let abandoned = false;
  let wake: (() => void) | undefined;

  const signal = () => {
    const resolve = wake;
    wake = undefined;
    resolve?.();
  };

  const next = async (): Promise<IteratorResult<Message, undefined>> => {
    for (;;) {
      const message = waiting.shift();
      if (message !== undefined) return { done: false, value: message };
      if (end?.error !== undefined && !abandoned) throw end.error;
      if (end !== undefined || abandoned) return { done: true, value: undefined };
      source.resume();
      // A message may have come within resume.
      if (waiting.length > 0) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };

  return {
    push(message) {
      if (abandoned) return;
      waiting.push(message);
      source.pause();
      signal();
    },
    end(error) {
      end ??= { error };
      signal();
    },
    [Symbol.asyncIterator]: () => ({
      next,
      async return() {
        abandoned = true;
        waiting.length = 0;
        if (end === undefined) (source.abandon ?? source.resume)();
        signal();
        return { done: true, value: undefined };
      },
    }),
  };
}
