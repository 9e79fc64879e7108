/**
 * The ISR of one partition as its leader knows it, and the one change of it that may be on its way (R6).
 *
 * | state     | counts for the high watermark            | counts for min ISR | left by                                     |
 * |-----------|------------------------------------------|--------------------|---------------------------------------------|
 * | committed | the committed ISR                        | the committed ISR  | a proposal                                  |
 * | proposed  | the committed ISR and whoever was proposed | the committed ISR | a newer partition epoch; a refusal by the newest controller epoch with every attempt answered |
 * | clearing  | the same                                 | the same           | the same                                    |
 * | waiting   | the same                                 | the same           | a newer partition epoch                     |
 *
 * *Clearing*: a refusal came while an earlier attempt is unanswered, which may still be applied. The leader proposes
 * the committed ISR unchanged: once that is applied the partition epoch is higher, and everything late fails on it.
 * *Waiting*: epochs did not match, so a newer state exists, perhaps that of an attempt of ours. Only it says which.
 */
import type { BrokerId } from "@tidemark/ids";
import { assert } from "./assert.ts";
import type { PartitionContext } from "./context.ts";
import type { AlterPartitionAnswer, ProposalAttempt } from "./controller-messages.ts";
import type { IsrProposal, PartitionState, ProposedMember } from "./partition-state.ts";

export interface IsrProposals {
  /** The committed ISR together with every replica of an unsettled change. */
  maximal(): readonly BrokerId[];
  /** The change that is not settled; undefined when there is none. */
  open(): OpenProposal | undefined;
  /**
   * False for a while after a refusal: of a change that let `replica` enter, or, asked about the leader itself, of one
   * that let nobody enter.
   */
  mayPropose(replica: BrokerId, nowMs: number): boolean;
  /** Sends a change. There must be no open one. */
  propose(change: IsrChange, nowMs: number): void;
  /** Returns the state that an applied attempt led to; the caller judges by its epochs whether it is news. */
  answered(attempt: ProposalAttempt, answer: AlterPartitionAnswer, nowMs: number): PartitionState | undefined;
  /** Sends the open proposal again when its pause is over. */
  retry(nowMs: number): void;
  /** A newer committed state: whatever was open carried an older partition epoch and can never be applied any more. */
  commit(state: PartitionState): void;
}

export interface IsrChange {
  readonly isr: readonly ProposedMember[];
  readonly recovering: boolean;
  readonly reason: string;
}

export interface OpenProposal {
  readonly proposal: IsrProposal;
  readonly kind: "proposed" | "clearing" | "waiting";
  /** Attempts that may still be applied, now or later. */
  readonly unanswered: ReadonlySet<ProposalAttempt>;
}

interface Open {
  proposal: IsrProposal;
  /** Who would enter the ISR by the change that was proposed first. */
  readonly entering: readonly BrokerId[];
  kind: OpenProposal["kind"];
  readonly unanswered: Set<ProposalAttempt>;
  retryAtMs: number;
}

/** `attempts` numbers the attempts of this partition over all its leaderships. */
export function createIsrProposals(
  context: PartitionContext,
  attempts: { next(): ProposalAttempt },
  initial: PartitionState,
): IsrProposals {
  let state = initial;
  let open: Open | undefined;
  let maximal: readonly BrokerId[] = state.isr;
  const pausedUntilMs = new Map<BrokerId, number>();

  const send = (target: Open, again: boolean, nowMs: number) => {
    const attempt = attempts.next();
    target.unanswered.add(attempt);
    target.retryAtMs = nowMs + context.settings.proposalRetryMs;
    const { proposal } = target;
    context.out.send.push({ kind: "alterPartition", request: { attempt, proposal } });
    context.out.trace.push({
      kind: "isrProposed",
      from: state.isr,
      to: proposal.isr.map((member) => member.replica),
      reason: proposal.reason,
      partitionEpoch: proposal.partitionEpoch,
      again,
    });
  };

  const settle = (reason: string) => {
    open = undefined;
    maximal = state.isr;
    context.out.trace.push({ kind: "proposalSettled", reason });
  };

  /** Replaces what may still be on its way by a change that only raises the partition epoch. */
  const clear = (refused: Open, nowMs: number) => {
    refused.kind = "clearing";
    refused.proposal = {
      leaderEpoch: state.leaderEpoch,
      partitionEpoch: state.partitionEpoch,
      isr: state.isr.map((replica) => ({ replica, brokerEpoch: undefined })),
      recovering: state.recovering,
      reason: "to end what may be on its way",
    };
    send(refused, false, nowMs);
  };

  const refused = (target: Open, answer: Refused, nowMs: number) => {
    if (context.controllerEpoch !== undefined && answer.controllerEpoch < context.controllerEpoch) {
      context.out.trace.push({ kind: "proposalUnsettled", reason: `${answer.kind} of an older controller` });
      return;
    }
    if (context.guards.refusalNeedsEveryAnswer && target.unanswered.size > 0) {
      context.out.trace.push({ kind: "proposalUnsettled", reason: `${answer.kind} with an attempt unanswered` });
      // A clearing one that is refused too is sent again after its pause.
      if (target.kind !== "clearing") clear(target, nowMs);
      return;
    }
    const until = nowMs + context.settings.proposalRetryMs;
    for (const replica of target.entering) pausedUntilMs.set(replica, until);
    if (target.entering.length === 0) pausedUntilMs.set(context.self, until);
    settle(answer.kind);
  };

  const mismatched = (target: Open, answer: Mismatch) => {
    if (!context.guards.mismatchSettlesNothing) {
      settle(answer.kind);
      return;
    }
    target.kind = "waiting";
    context.out.trace.push({ kind: "proposalUnsettled", reason: answer.kind });
  };

  return {
    maximal: () => maximal,
    open: () => open,
    mayPropose: (replica, nowMs) => nowMs >= (pausedUntilMs.get(replica) ?? 0),
    propose(change, nowMs) {
      assert(open === undefined, "one ISR change is in flight");
      const { leaderEpoch, partitionEpoch, isr } = state;
      const entering = change.isr.map((member) => member.replica).filter((replica) => !isr.includes(replica));
      open = {
        proposal: { leaderEpoch, partitionEpoch, ...change },
        entering,
        kind: "proposed",
        unanswered: new Set(),
        retryAtMs: 0,
      };
      maximal = entering.length > 0 ? [...isr, ...entering] : isr;
      send(open, false, nowMs);
    },
    answered(attempt, answer, nowMs) {
      if (answer.kind === "applied") return answer.state;
      // An attempt of a change that is settled: nothing is left to learn from it.
      if (open === undefined || !open.unanswered.has(attempt)) return undefined;
      if (answer.kind === "UNKNOWN") {
        context.out.trace.push({ kind: "proposalUnsettled", reason: "UNKNOWN" });
        return undefined;
      }
      open.unanswered.delete(attempt);
      switch (answer.kind) {
        case "INELIGIBLE_REPLICA":
        case "NOT_ATTEMPTED":
          refused(open, answer, nowMs);
          break;
        case "PARTITION_EPOCH_MISMATCH":
        case "LEADER_EPOCH_MISMATCH":
          mismatched(open, answer);
          break;
        case "NOT_CONTROLLER":
          context.out.trace.push({ kind: "proposalUnsettled", reason: answer.kind });
          break;
      }
      return undefined;
    },
    retry(nowMs) {
      if (open !== undefined && open.kind !== "waiting" && nowMs >= open.retryAtMs) send(open, true, nowMs);
    },
    commit(newer) {
      state = newer;
      open = undefined;
      maximal = newer.isr;
    },
  };
}

type Refused = Extract<AlterPartitionAnswer, { kind: "INELIGIBLE_REPLICA" | "NOT_ATTEMPTED" }>;
type Mismatch = Extract<AlterPartitionAnswer, { kind: "PARTITION_EPOCH_MISMATCH" | "LEADER_EPOCH_MISMATCH" }>;
