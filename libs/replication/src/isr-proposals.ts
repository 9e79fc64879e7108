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
 * *Waiting*: epochs did not match, so a newer state exists, perhaps that of an attempt of ours. Only it says which. Of an
 * older controller it says nothing, since its own state may be the older one: the proposal is sent again.
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

interface IsrChange {
  readonly isr: readonly ProposedMember[];
  readonly recovering: boolean;
  readonly reason: string;
}

export interface OpenProposal {
  readonly proposal: IsrProposal;
  readonly kind: "proposed" | "clearing" | "waiting";
  /** Attempts that are on their way. */
  readonly unanswered: ReadonlySet<ProposalAttempt>;
  /** Some attempt ended as unknown: it may still be applied, now or later. */
  readonly isInDoubt: boolean;
}

interface Open {
  proposal: IsrProposal;
  /** Who would enter the ISR by the change that was proposed first. */
  readonly entering: readonly BrokerId[];
  kind: OpenProposal["kind"];
  readonly unanswered: Set<ProposalAttempt>;
  /** Said once for all of them: while no controller answers an attempt is added each second, perhaps for days. */
  isInDoubt: boolean;
  retryAtMs: number;
}

interface Proposals {
  readonly context: PartitionContext;
  readonly attempts: { next(): ProposalAttempt };
  readonly pausedUntilMs: Map<BrokerId, number>;
  state: PartitionState;
  maximal: readonly BrokerId[];
  open: Open | undefined;
}

/** `attempts` numbers the attempts of this partition over all its leaderships. */
export function createIsrProposals(
  context: PartitionContext,
  attempts: { next(): ProposalAttempt },
  initial: PartitionState,
): IsrProposals {
  const proposals: Proposals = {
    context,
    attempts,
    pausedUntilMs: new Map(),
    state: initial,
    maximal: initial.isr,
    open: undefined,
  };
  return {
    maximal: () => proposals.maximal,
    open: () => proposals.open,
    mayPropose: (replica, nowMs) => nowMs >= (proposals.pausedUntilMs.get(replica) ?? 0),
    propose: (change, nowMs) => {
      propose(proposals, change, nowMs);
    },
    answered: (attempt, answer, nowMs) => {
      if (answer.kind === "applied") return answer.state;
      notApplied(proposals, attempt, answer, nowMs);
      return undefined;
    },
    retry: (nowMs) => {
      const { open } = proposals;
      if (open !== undefined && open.kind !== "waiting" && nowMs >= open.retryAtMs) send(proposals, open, true, nowMs);
    },
    commit: (newer) => {
      proposals.state = newer;
      proposals.open = undefined;
      proposals.maximal = newer.isr;
    },
  };
}

function propose(proposals: Proposals, change: IsrChange, nowMs: number): void {
  assert(proposals.open === undefined, "one ISR change is in flight");
  const { leaderEpoch, partitionEpoch, isr } = proposals.state;
  const entering = change.isr.map((member) => member.replica).filter((replica) => !isr.includes(replica));
  const proposal = { leaderEpoch, partitionEpoch, ...change };
  const open: Open = { proposal, entering, kind: "proposed", unanswered: new Set(), isInDoubt: false, retryAtMs: 0 };
  proposals.open = open;
  proposals.maximal = entering.length > 0 ? [...isr, ...entering] : isr;
  send(proposals, open, false, nowMs);
}

function send(proposals: Proposals, open: Open, again: boolean, nowMs: number): void {
  const { context, state } = proposals;
  const attempt = proposals.attempts.next();
  open.unanswered.add(attempt);
  open.retryAtMs = nowMs + context.settings.proposalRetryMs;
  const { proposal } = open;
  context.out.send.push({ kind: "alterPartition", request: { attempt, proposal } });
  context.out.trace.push({
    kind: "isrProposed",
    from: state.isr,
    to: proposal.isr.map((member) => member.replica),
    reason: proposal.reason,
    partitionEpoch: proposal.partitionEpoch,
    again,
  });
}

function notApplied(
  proposals: Proposals,
  attempt: ProposalAttempt,
  answer: Exclude<AlterPartitionAnswer, { kind: "applied" }>,
  nowMs: number,
): void {
  const { open } = proposals;
  // An attempt of a change that is settled: nothing is left to learn from it.
  if (open === undefined || !open.unanswered.has(attempt)) return;
  open.unanswered.delete(attempt);
  // What may be applied later counts as unanswered for ever.
  if (answer.kind === "UNKNOWN") open.isInDoubt = true;
  switch (answer.kind) {
    case "INELIGIBLE_REPLICA":
    case "NOT_ATTEMPTED":
      refused(proposals, open, answer, nowMs);
      return;
    case "PARTITION_EPOCH_MISMATCH":
    case "LEADER_EPOCH_MISMATCH":
      if (isOfOlderController(proposals, answer)) return;
      if (proposals.context.guards.mismatchSettlesNothing) {
        open.kind = "waiting";
        unsettled(proposals, answer.kind);
      } else settle(proposals, answer.kind);
      return;
    case "NOT_CONTROLLER":
    case "UNKNOWN":
      unsettled(proposals, answer.kind);
      return;
  }
}

/** An older controller than the newest one heard of settles nothing. */
function isOfOlderController(
  proposals: Proposals,
  { kind, controllerEpoch }: Pick<Refused, "controllerEpoch"> & Pick<AlterPartitionAnswer, "kind">,
): boolean {
  const newest = proposals.context.controllerEpoch;
  if (newest === undefined || controllerEpoch >= newest) return false;
  unsettled(proposals, `${kind} of an older controller`);
  return true;
}

type Refused = Extract<AlterPartitionAnswer, { kind: "INELIGIBLE_REPLICA" | "NOT_ATTEMPTED" }>;

function refused(proposals: Proposals, open: Open, answer: Refused, nowMs: number): void {
  const { context } = proposals;
  if (isOfOlderController(proposals, answer)) return;
  if (context.guards.refusalNeedsEveryAnswer && (open.unanswered.size > 0 || open.isInDoubt)) {
    unsettled(proposals, `${answer.kind} with an attempt unanswered`);
    // A clearing one that is refused too is sent again after its pause.
    if (open.kind !== "clearing") clear(proposals, open, nowMs);
    return;
  }
  const until = nowMs + context.settings.proposalRetryMs;
  for (const replica of open.entering) proposals.pausedUntilMs.set(replica, until);
  if (open.entering.length === 0) proposals.pausedUntilMs.set(context.self, until);
  settle(proposals, answer.kind);
}

/** Replaces what may still be on its way by a change that only raises the partition epoch. */
function clear(proposals: Proposals, open: Open, nowMs: number): void {
  const { leaderEpoch, partitionEpoch, isr, recovering } = proposals.state;
  open.kind = "clearing";
  open.proposal = {
    leaderEpoch,
    partitionEpoch,
    isr: isr.map((replica) => ({ replica, brokerEpoch: undefined })),
    recovering,
    reason: "to end what may be on its way",
  };
  send(proposals, open, false, nowMs);
}

function settle(proposals: Proposals, reason: string): void {
  proposals.open = undefined;
  proposals.maximal = proposals.state.isr;
  proposals.context.out.trace.push({ kind: "proposalSettled", reason });
}

function unsettled(proposals: Proposals, reason: string): void {
  proposals.context.out.trace.push({ kind: "proposalUnsettled", reason });
}
