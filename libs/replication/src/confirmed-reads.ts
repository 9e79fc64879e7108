/**
 * Linearizable reads (P9): a read is served only after the active controller confirmed, behind its barrier, that this
 * broker led *after the read had arrived*. One question is out at a time; reads that arrive meanwhile wait for the
 * next one, so that any number of reads costs one question per round trip. A question without an answer for long is
 * asked again, and an answer to the earlier one still decides the reads that had arrived before that was asked.
 */
import type { LeaderEpoch } from "@tidemark/ids";
import type { PartitionContext } from "./context.ts";
import type { Confirmation } from "./controller-messages.ts";
import type { ConsumerFetchInput, LatestOffsetInput } from "./inputs.ts";

export type ConfirmableRead = ConsumerFetchInput | LatestOffsetInput;

/** A read, and the first question that was asked after it had arrived. */
interface AskedRead {
  readonly read: ConfirmableRead;
  readonly since: Confirmation;
}

export interface ConfirmedReads {
  readonly size: number;
  arrive(read: ConfirmableRead): void;
  /** Takes the reads that this answer decides: those that had arrived when its question was asked. */
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
  let asked: AskedRead[] = [];
  let arrived: ConfirmableRead[] = [];
  let out: { readonly confirmation: Confirmation; readonly sentMs: number } | undefined;

  const ask = (nowMs: number) => {
    out = undefined;
    if (asked.length + arrived.length === 0) return;
    const confirmation = confirmations.next();
    asked.push(...arrived.map((read) => ({ read, since: confirmation })));
    arrived = [];
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
      const isDecided = ({ since }: AskedRead) => since <= confirmation;
      const decided = asked.filter(isDecided);
      asked = asked.filter((each) => !isDecided(each));
      if (out?.confirmation === confirmation) ask(nowMs);
      return decided.map(({ read }) => read);
    },
    retry(nowMs) {
      if (out !== undefined && nowMs - out.sentMs >= context.settings.proposalRetryMs) ask(nowMs);
    },
    takeWhere(matches) {
      const taken = [...asked.map(({ read }) => read), ...arrived].filter(matches);
      asked = asked.filter(({ read }) => !matches(read));
      arrived = arrived.filter((read) => !matches(read));
      return taken;
    },
  };
}
