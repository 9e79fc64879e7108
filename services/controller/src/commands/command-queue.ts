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
import type { Consensus } from "@tidemark/consensus";
import type { ControllerEpoch, Revision } from "@tidemark/ids";
import type { Decision, MetadataImage } from "@tidemark/metadata";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { reasonName, TidemarkError, withOutcome } from "@tidemark/rpc";
import { type Clock, createDeferred, type Deferred } from "@tidemark/runtime";
import { type ErrorReader, refusalError } from "../errors.ts";
import type { ControllerEvent } from "../events/controller-events.ts";
import type { MetadataFollower } from "../state/metadata-follower.ts";
import type { Commit } from "./committer.ts";
import type { ActiveTerm, Role } from "./role.ts";

interface Command<Answer> {
  /** For events: `create topic`. */
  readonly name: string;
  readonly decide: (image: MetadataImage, epoch: ControllerEpoch) => Decision<Answer>;
  /** It sets the cluster up. No other one is carried out before that: an import that has not ended writes it last. */
  readonly isFounding?: boolean;
}

/** A command that is done: what it tells is committed, and applied to the image. */
interface Done<Answer> {
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
  readonly consensus: Pick<Consensus, "sync">;
  readonly follower: MetadataFollower;
  readonly role: Role;
  readonly commit: Commit;
  readonly clock: Clock;
  readonly waitingMax: number;
  readonly readError: ErrorReader;
  readonly onEvent: (event: ControllerEvent) => void;
}

const noCluster = {
  kind: "refused",
  refusal: { reason: Reason.NOT_ATTEMPTED, message: "The cluster is not set up yet" },
} as const;

export function createCommandQueue(options: CommandQueueOptions): CommandQueue {
  const { follower, role, clock, onEvent, readError } = options;
  const barrier = createBarrier(options);
  let waiting = 0;
  let lastTurn: Promise<void> = Promise.resolve();

  const decideNow = <Answer>(command: Command<Answer>, epoch: ControllerEpoch): Decision<Answer> => {
    const { image } = follower;
    const isFounded = image.cluster !== undefined || image.malformed.has("/cluster");
    return isFounded || command.isFounding === true ? command.decide(image, epoch) : noCluster;
  };

  const perform = async <Answer>(command: Command<Answer>, term: ActiveTerm): Promise<Done<Answer>> => {
    const { epoch } = term;
    let startedMs = clock.monotonicMs();
    let decision = decideNow(command, epoch);
    let revision = follower.revision;
    if (decision.kind === "refused" || decision.changes.length === 0) {
      revision = await barrier(term);
      startedMs = clock.monotonicMs();
      decision = decideNow(command, epoch);
    }
    if (decision.kind === "refused") throw refusalError(decision.refusal);
    if (decision.changes.length > 0) {
      const { events } = decision;
      const durationMs = clock.monotonicMs() - startedMs;
      onEvent({ kind: "committing", command: command.name, epoch, events, durationMs });
      revision = await options.commit(command.name, term, decision.changes);
      onEvent({ kind: "decided", command: command.name, epoch, revision, events });
    }
    return { answer: decision.answer, epoch, revision, image: follower.image };
  };

  const takeTurn = async <Answer>(command: Command<Answer>, term: ActiveTerm, signal: AbortSignal | undefined) => {
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
      await takeTurn(command, term, signal).then(done.resolve, (thrown: unknown) => {
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

function createBarrier(
  options: Pick<CommandQueueOptions, "consensus" | "follower" | "role" | "readError">,
): CommandQueue["barrier"] {
  const { consensus, follower, role, readError } = options;
  return async (term) => {
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
}
