/**
 * Linearizable reads (P9): a read is served only after the active controller confirmed, behind its barrier, that this
 * broker led *after the read had arrived*. One question is out at a time; reads that arrive meanwhile wait for the
 * next one, so that any number of reads costs one question per round trip.
 */
import type { LeaderEpoch } from "@tidemark/ids";
import type { PartitionContext } from "./context.ts";
import type { Confirmation } from "./controller-messages.ts";
import type { ConsumerFetchInput, LatestOffsetInput } from "./inputs.ts";

export type ConfirmableRead = ConsumerFetchInput | LatestOffsetInput;

export interface ConfirmedReads {
  readonly size: number;
  arrive(read: ConfirmableRead): void;
  /** Takes the reads that this answer decides; none when it is not the answer to the question that is out. */
  answered(confirmation: Confirmation, nowMs: number): readonly ConfirmableRead[];
  /** Asks again where a question was not answered for long. */
  retry(nowMs: number): void;
  takeWhere(matches: (read: ConfirmableRead) => boolean): readonly ConfirmableRead[];
}

export function createConfirmedReads(
  context: PartitionContext,
  confirmations: { next(): Confirmation },
  leaderEpoch: LeaderEpoch,
): ConfirmedReads {
  let asked: ConfirmableRead[] = [];
  let arrived: ConfirmableRead[] = [];
  let out: { readonly confirmation: Confirmation; readonly sentMs: number } | undefined;

  const ask = (nowMs: number) => {
    asked.push(...arrived);
    arrived = [];
    out = undefined;
    if (asked.length === 0) return;
    const confirmation = confirmations.next();
    out = { confirmation, sentMs: nowMs };
    context.out.send.push({ kind: "confirmLeadership", confirmation, leaderEpoch });
  };

  return {
    get size() {
      return asked.length + arrived.length;
    },
    arrive(read) {
      arrived.push(read);
      if (out === undefined) ask(read.nowMs);
    },
    answered(confirmation, nowMs) {
      if (out?.confirmation !== confirmation) return [];
      const decided = asked;
      asked = [];
      ask(nowMs);
      return decided;
    },
    retry(nowMs) {
      if (out !== undefined && nowMs - out.sentMs >= context.settings.proposalRetryMs) ask(nowMs);
    },
    takeWhere(matches) {
      const taken = [...asked.filter(matches), ...arrived.filter(matches)];
      asked = asked.filter((read) => !matches(read));
      arrived = arrived.filter((read) => !matches(read));
      return taken;
    },
  };
}
