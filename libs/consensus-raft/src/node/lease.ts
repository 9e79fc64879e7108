/**
 * How long a leader may believe in itself (C4): until a while after it *sent* the last round that a majority answered. No
 * voter helps to elect another before that, unless leadership is handed over or the leader's port refuses connections.
 */
import type { Clock } from "@tidemark/runtime";
import type { Durations } from "./timing.ts";

export interface Lease {
  /** The term in which this node leads, as far as it may believe. */
  term(): number | undefined;
  /** Takes note of the term in which this node leads now, and asks for a round when one is due. */
  tick(leadingTerm: number | undefined): void;
}

export interface LeaseOptions {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly durations: Durations;
  /** Asks a majority whether this node leads; `onConfirmed` is called when it says so. */
  readonly askRound: (onConfirmed: () => void) => void;
  /** After each change of `term()`. The old one is given. */
  readonly onChange: (before: number | undefined) => void;
}

export function createLease({ clock, durations, askRound, onChange }: LeaseOptions): Lease {
  let leading: number | undefined;
  let untilMs = Number.NEGATIVE_INFINITY;
  let askedMs = Number.NEGATIVE_INFINITY;
  let announced: number | undefined;

  const term = () => (leading !== undefined && clock.monotonicMs() < untilMs ? leading : undefined);
  const announce = () => {
    const now = term();
    if (now === announced) return;
    const before = announced;
    announced = undefined;
    // One term never follows another without an end between them.
    if (before !== undefined) onChange(before);
    announced = now;
    if (now !== undefined) onChange(undefined);
  };
  const ask = () => {
    const sentMs = clock.monotonicMs();
    const ofTerm = leading;
    askedMs = sentMs;
    askRound(() => {
      if (leading !== ofTerm) return;
      untilMs = Math.max(untilMs, sentMs + durations.leaseMs);
      announce();
    });
  };

  return {
    // What was not announced yet is nobody's belief, and what has ended since is nobody's either.
    term: () => (announced !== undefined && term() === announced ? announced : undefined),
    tick(leadingTerm) {
      if (leadingTerm !== leading) {
        leading = undefined;
        announce();
        leading = leadingTerm;
        untilMs = Number.NEGATIVE_INFINITY;
        askedMs = Number.NEGATIVE_INFINITY;
      }
      announce();
      if (leading !== undefined && clock.monotonicMs() - askedMs >= durations.heartbeatMs) ask();
    },
  };
}
