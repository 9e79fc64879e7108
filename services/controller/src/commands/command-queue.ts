/**
 * The one event queue of the active controller. Commands are decided one after the other, each on an image that holds
 * everything decided before:
 *
 * 1. `decide` turns the image into changes, events and an answer, and touches nothing else.
 * 2. The changes are appended, batch by batch, in the term's epoch (C5).
 * 3. The store's watch replays them into the image, as on every other controller.
 * 4. The answer is given: what it tells is committed and applied.
 *
 * What changes nothing (a refusal, or nothing to do) may have been decided on an image that is old without anybody
 * knowing: it is decided again behind the store's barrier (C9) before it is answered.
 */
import type { AppendOutcome, Change, Consensus } from "@tidemark/consensus";
import type { ControllerEpoch, Revision } from "@tidemark/ids";
import type { Decision, MetadataImage } from "@tidemark/metadata";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { reasonName, TidemarkError, withOutcome } from "@tidemark/rpc";
import { type Clock, createDeferred, type Deferred } from "@tidemark/runtime";
import { appendError, type ErrorReader, refusalError } from "../errors.ts";
import type { ControllerEvent } from "../events/controller-events.ts";
import type { MetadataFollower } from "../state/metadata-follower.ts";
import { toStoreBatches } from "../state/store-codec.ts";
import type { ActiveTerm, Role } from "./role.ts";

export interface Command<Answer> {
  /** For events: `create topic`. */
  readonly name: string;
  readonly decide: (image: MetadataImage, epoch: ControllerEpoch) => Decision<Answer>;
}

/** A command that is done: what it tells is committed, and applied to the image. */
export interface Done<Answer> {
  readonly answer: Answer;
  readonly epoch: ControllerEpoch;
  /** Of its last batch; of the barrier where nothing changed. */
  readonly revision: Revision;
  /** As it was when the command was done. */
  readonly image: MetadataImage;
}

export interface CommandQueue {
  /**
   * Queues a command. Rejects with a TidemarkError: NOT_CONTROLLER, the decision's refusal, RESOURCE_EXHAUSTED where too
   * many wait, METADATA_OUTCOME_UNKNOWN where nobody knows, or the signal's reason where it was aborted before the
   * command's turn.
   */
  submit<Answer>(command: Command<Answer>, signal?: AbortSignal): Promise<Done<Answer>>;
  /** As `submit`, for the controller's own commands: never refused for the number of those that wait. */
  submitOwn<Answer>(command: Command<Answer>): Promise<Done<Answer>>;
  /** Waits for the store's barrier and checks that the term still stands behind it (C9). */
  barrier(term: ActiveTerm): Promise<Revision>;
}

export interface CommandQueueOptions {
  readonly consensus: Pick<Consensus, "append" | "sync">;
  readonly follower: MetadataFollower;
  readonly role: Role;
  readonly clock: Clock;
  readonly waitingMax: number;
  readonly readError: ErrorReader;
  readonly onEvent: (event: ControllerEvent) => void;
  /** An append ended unknown: the term was ended, and only another one will know (C6). */
  readonly onUnknown: (epoch: ControllerEpoch) => void;
  /** A command failed after some of its batches were committed; the term goes on. */
  readonly onPartial: () => void;
}

export function createCommandQueue(options: CommandQueueOptions): CommandQueue {
  const { consensus, follower, role, onEvent, readError } = options;
  let waiting = 0;
  let lastTurn: Promise<void> = Promise.resolve();

  const barrier = async (term: ActiveTerm): Promise<Revision> => {
    const revision = await consensus.sync(term.signal).catch((error: unknown) => {
      throw readError(error);
    });
    await follower.reached(revision, term.signal);
    if (role.term !== term || follower.image.controller?.controllerEpoch !== term.epoch) {
      role.deactivate(term.epoch, "a newer epoch was found behind the barrier");
      throw role.error();
    }
    return revision;
  };

  const commit = async (name: string, term: ActiveTerm, batches: readonly (readonly Change[])[]): Promise<Revision> => {
    let last = follower.revision;
    for (const [index, batch] of batches.entries()) {
      const startedMs = options.clock.monotonicMs();
      const outcome = await consensus.append(term.epoch, batch);
      if (outcome.kind !== "committed") throw failAppend(term, outcome, index > 0);
      await follower.reached(outcome.revision);
      last = outcome.revision;
      const durationMs = options.clock.monotonicMs() - startedMs;
      onEvent({
        kind: "batchCommitted",
        command: name,
        epoch: term.epoch,
        batch: index + 1,
        batches: batches.length,
        changes: batch.length,
        revision: last,
        durationMs,
      });
    }
    return last;
  };

  const failAppend = (
    { epoch }: ActiveTerm,
    outcome: Exclude<AppendOutcome, { kind: "committed" }>,
    isPartial: boolean,
  ): TidemarkError => {
    if (outcome.kind === "unknown") {
      role.deactivate(epoch, "the outcome of an append is not known");
      options.onUnknown(epoch);
    } else if (["FENCED", "CLOSED", "FAILED"].includes(outcome.reason)) {
      role.deactivate(epoch, `the store refused an append: ${outcome.reason}`);
    } else if (isPartial) {
      options.onPartial();
    }
    return appendError(outcome, { isPartial, active: role.known() });
  };

  const perform = async <Answer>(command: Command<Answer>, term: ActiveTerm): Promise<Done<Answer>> => {
    const { epoch } = term;
    let decision = command.decide(follower.image, epoch);
    let revision = follower.revision;
    if (decision.kind === "refused" || decision.changes.length === 0) {
      revision = await barrier(term);
      decision = command.decide(follower.image, epoch);
    }
    if (decision.kind === "refused") throw refusalError(decision.refusal);
    if (decision.changes.length > 0) {
      revision = await commit(command.name, term, toStoreBatches(decision.changes));
      onEvent({ kind: "decided", command: command.name, epoch, revision, events: decision.events });
    }
    return { answer: decision.answer, epoch, revision, image: follower.image };
  };

  const turn = async <Answer>(command: Command<Answer>, term: ActiveTerm, signal: AbortSignal | undefined) => {
    if (signal?.aborted) throw withOutcome(readError(signal.reason), Outcome.NOT_APPLIED);
    if (role.term !== term) throw role.error();
    return perform(command, term);
  };

  const enqueue = async <Answer>(command: Command<Answer>, signal?: AbortSignal): Promise<Done<Answer>> => {
    const term = role.require();
    const done: Deferred<Done<Answer>> = createDeferred();
    waiting += 1;
    lastTurn = lastTurn.then(async () => {
      waiting -= 1;
      await turn(command, term, signal).then(done.resolve, (thrown: unknown) => {
        const error = readError(thrown);
        const { message } = error;
        onEvent({ kind: "commandFailed", command: command.name, reason: reasonName(error.reason), message });
        done.reject(error);
      });
    });
    return done.promise;
  };

  return {
    barrier,
    submitOwn: (command) => enqueue(command),
    async submit(command, signal) {
      if (waiting >= options.waitingMax) {
        const message = `${waiting} commands wait for the metadata already`;
        throw new TidemarkError({ reason: Reason.RESOURCE_EXHAUSTED, message });
      }
      return enqueue(command, signal);
    },
  };
}
