/** Linearizable reads that wait for the leader's confirmation, by the name that each has. */
import type { LogIndex, Raft, ReadOutcome } from "@tidemark/raft";
import { type Runtime, randomUuid } from "@tidemark/runtime";

export type ReadEnd = { readonly kind: "confirmed"; readonly index: LogIndex } | { readonly kind: "lost" };

export interface Reads {
  /**
   * Asks for an index; `onEnd` is told it once. Of one whose message was lost, nobody is ever told: whoever waits asks
   * again. False where there is nobody to ask.
   */
  ask(raft: Raft, onEnd: (end: ReadEnd) => void): { readonly forget: () => void } | undefined;
  settle(outcome: ReadOutcome): void;
}

export function createReads({ random }: Runtime): Reads {
  // A name is never used twice, restarts included.
  const life = randomUuid(random);
  const waiting = new Map<string, (end: ReadEnd) => void>();
  let asked = 0;
  return {
    ask(raft, onEnd) {
      asked += 1;
      const context = `${life}/${asked}`;
      if (raft.readIndex(context).kind === "refused") return undefined;
      waiting.set(context, onEnd);
      return { forget: () => waiting.delete(context) };
    },
    settle(outcome) {
      const onEnd = waiting.get(outcome.context);
      waiting.delete(outcome.context);
      onEnd?.(outcome.kind === "confirmed" ? { kind: "confirmed", index: outcome.index } : { kind: "lost" });
    },
  };
}
