import type { BatchHeader } from "@tidemark/record";
import type { ProducerState } from "../producers/producer-state.ts";

/** A state machine that remembers the last offset and sequence of each producer, and what it was shown. */
export interface TestProducers extends ProducerState {
  readonly last: Map<string, string>;
  replayed: number;
}

export function createTestProducers(): TestProducers {
  const producers: TestProducers = {
    last: new Map(),
    replayed: 0,
    restore(snapshot) {
      producers.last.clear();
      const entries: unknown = snapshot === undefined ? [] : JSON.parse(new TextDecoder().decode(snapshot));
      for (const [id, at] of entries as [string, string][]) producers.last.set(id, at);
    },
    replay({ producerId, baseSequence, baseOffset }: BatchHeader) {
      producers.replayed++;
      producers.last.set(String(producerId), `${baseSequence} at ${baseOffset}`);
    },
    snapshot: () => new TextEncoder().encode(JSON.stringify([...producers.last])),
  };
  return producers;
}
