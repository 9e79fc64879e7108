import type { AppendFailure, AppendOutcome, Consensus } from "@tidemark/consensus";
import type { ControllerEpoch, Revision } from "@tidemark/ids";
import type { MetadataChange } from "@tidemark/metadata";
import type { TidemarkError } from "@tidemark/rpc";
import type { Clock } from "@tidemark/runtime";
import { appendError } from "../errors.ts";
import type { ControllerEvent } from "../events/controller-events.ts";
import type { MetadataFollower } from "../state/metadata-follower.ts";
import { toStoreBatches } from "../state/store-codec.ts";
import type { ActiveTerm, Role } from "./role.ts";

export interface CommitterOptions {
  readonly consensus: Pick<Consensus, "append">;
  readonly follower: MetadataFollower;
  readonly role: Role;
  readonly clock: Clock;
  readonly onEvent: (event: ControllerEvent) => void;
  /** An append ended unknown: the term was ended, and only another one will know (C6). */
  readonly onUnknown: (epoch: ControllerEpoch) => void;
  /** A command failed after some of its batches were committed; the term goes on. */
  readonly onPartial: () => void;
}

/**
 * Commits the changes of one command: batch by batch in their order, the next one only when the last is committed and
 * applied, so that a crash leaves a beginning and never a hole. Resolves with the revision of the last batch.
 */
export type Commit = (command: string, term: ActiveTerm, changes: readonly MetadataChange[]) => Promise<Revision>;

export function createCommitter(options: CommitterOptions): Commit {
  const { consensus, follower, role, clock, onEvent } = options;

  const fail = ({ epoch }: ActiveTerm, outcome: AppendFailure, isPartial: boolean): TidemarkError => {
    if (outcome.kind === "unknown") {
      role.deactivate(epoch, "the outcome of an append is not known");
      options.onUnknown(epoch);
    } else if (endsTerm(outcome.reason)) {
      role.deactivate(epoch, `the store refused an append: ${outcome.reason}`);
    } else if (isPartial) {
      options.onPartial();
    }
    return appendError(outcome, { isPartial, active: role.known() });
  };

  return async (command, term, changes) => {
    const { epoch } = term;
    const batches = toStoreBatches(changes);
    let revision = follower.revision;
    for (const [index, batch] of batches.entries()) {
      const startedMs = clock.monotonicMs();
      onEvent({ kind: "batchCommitting", batch: index + 1, batches: batches.length, changes: batch.length });
      const outcome = await consensus.append(epoch, batch);
      if (outcome.kind !== "committed") throw fail(term, outcome, index > 0);
      revision = outcome.revision;
      await follower.reached(revision);
      onEvent({
        kind: "batchCommitted",
        command,
        epoch,
        batch: index + 1,
        batches: batches.length,
        changes: batch.length,
        revision,
        durationMs: clock.monotonicMs() - startedMs,
      });
    }
    return revision;
  };
}

/** Refusals that say that this controller does not lead, or not any more. */
function endsTerm(reason: Extract<AppendOutcome, { kind: "refused" }>["reason"]): boolean {
  return reason === "FENCED" || reason === "CLOSED" || reason === "FAILED";
}
