import type { ConsensusError } from "./consensus.ts";
import { createSignal } from "./signal.ts";

/** A value that changes, for readers of which each sees the newest: a slow reader misses what was replaced. */
export interface LatestValue<Value> {
  current(): Value;
  set(value: Value): void;
  /** The value now and each later one. Ends with `end`; with an error, throws it after the last value. */
  values(): AsyncIterable<Value>;
  /** A second call does nothing. */
  end(error?: ConsensusError): void;
}

export function createLatestValue<Value>(initial: Value): LatestValue<Value> {
  let value = initial;
  let version = 0;
  let end: { readonly error: ConsensusError | undefined } | undefined;
  const changed = createSignal();

  async function* read(): AsyncGenerator<Value, void, undefined> {
    for (let seen = -1; ; ) {
      if (seen !== version) {
        seen = version;
        yield value;
      } else if (end?.error !== undefined) {
        throw end.error;
      } else if (end !== undefined) {
        return;
      } else {
        await changed.next();
      }
    }
  }

  return {
    current: () => value,
    set(next) {
      if (end !== undefined) return;
      value = next;
      version += 1;
      changed.notify();
    },
    values: () => ({ [Symbol.asyncIterator]: read }),
    end(error) {
      if (end !== undefined) return;
      end = { error };
      changed.notify();
    },
  };
}
