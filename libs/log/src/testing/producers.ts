import type { BatchHeader } from "@tidemark/record";
import type { ProducerState } from "../producers/producer-state.ts";

/** A state machine that remembers the last offset and sequence of each producer, and what it was shown. */
export interface TestProducers extends ProducerState {
  readonly last: Map<string, string>;
  replayed: number;
}

export function createTestProducers(): TestProducers {
  let unwritten: { readonly offset: bigint; readonly id: string; readonly before: string | undefined }[] = [];
  const producers: TestProducers = {
    last: new Map(),
    replayed: 0,
    restore(snapshot) {
      producers.last.clear();
      unwritten = [];
      const entries: unknown = snapshot === undefined ? [] : JSON.parse(new TextDecoder().decode(snapshot));
      for (const [id, at] of entries as [string, string][]) producers.last.set(id, at);
    },
    replay({ producerId, baseSequence, baseOffset }: BatchHeader) {
      producers.replayed++;
      const id = String(producerId);
      unwritten.push({ offset: baseOffset, id, before: producers.last.get(id) });
      producers.last.set(id, `${baseSequence} at ${baseOffset}`);
    },
    written(upTo) {
      unwritten = unwritten.filter(({ offset }) => offset >= upTo);
    },
    takeBack(from) {
      for (const { offset, id, before } of unwritten.toReversed()) {
        if (offset < from) break;
        if (before === undefined) producers.last.delete(id);
        else producers.last.set(id, before);
      }
      unwritten = unwritten.filter(({ offset }) => offset < from);
    },
    snapshot: () => new TextEncoder().encode(JSON.stringify([...producers.last])),
  };
  return producers;
}
