import { LinkLostError, type StoreAnswer } from "@tidemark/consensus";
import type { LogIndex, Position } from "@tidemark/raft";
import { createDeferred, type Deferred } from "@tidemark/runtime";

/** What became of a proposal. `dropped`: another leader's entry stands in its place, and it never will be carried out. */
export type ProposalEnd = StoreAnswer | { readonly kind: "dropped" };

/** What this node proposed as a leader and is not applied yet. */
export interface Proposals {
  /** Rejects with LinkLostError where leadership is lost over it: it may still be committed. */
  wait(position: Position): Promise<ProposalEnd>;
  /** The entry at this position was applied. */
  settle(position: Position, answer: StoreAnswer): void;
  /** Leadership is over. What is at or below `committed` is committed, and is answered when it is applied. */
  lose(cause: string, committed: LogIndex): void;
  /** A snapshot took the place of everything up to `index`: what became of it there is not said in it. */
  passOver(index: LogIndex): void;
  /** The storage failed. */
  fail(message: string): void;
}

export function createProposals(): Proposals {
  const waiting = new Map<number, { readonly term: number; readonly end: Deferred<ProposalEnd> }>();
  return {
    wait({ index, term }) {
      const end = createDeferred<ProposalEnd>();
      waiting.set(index, { term, end });
      return end.promise;
    },
    settle({ index, term }, answer) {
      const found = waiting.get(index);
      if (found === undefined) return;
      waiting.delete(index);
      found.end.resolve(found.term === term ? answer : { kind: "dropped" });
    },
    lose(cause, committed) {
      for (const [index, { end }] of [...waiting]) {
        if (index <= committed) continue;
        waiting.delete(index);
        end.reject(new LinkLostError(cause));
      }
    },
    passOver(through) {
      for (const [index, { end }] of [...waiting]) {
        if (index > through) continue;
        waiting.delete(index);
        end.reject(new LinkLostError("a snapshot took the place of its entry"));
      }
    },
    fail(message) {
      for (const { end } of waiting.values()) end.resolve({ kind: "unknown", message });
      waiting.clear();
    },
  };
}
