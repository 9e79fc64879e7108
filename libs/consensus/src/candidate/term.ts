/**
 * The appends of one controller epoch, from the leader that won it. One request is on its way at a time and takes along
 * all that waits: many appends, one flush.
 *
 * | the answer | what follows                                                        |
 * |------------|---------------------------------------------------------------------|
 * | committed  | the next request                                                    |
 * | conflict   | another's fence is there: refused FENCED, and the epoch is over     |
 * | no space   | refused, and the fence is what it was                               |
 * | refused    | refused, and the fence is what it was                               |
 * | failed     | refused                                                             |
 * | unknown    | unknown, and this candidate gives the epoch up                      |
 * | lost       | settled by reading `/append`, see `settleLostRequest`               |
 */
import type { ControllerEpoch, Revision } from "@tidemark/ids";
import { type Clock, createDeferred, type Deferred } from "@tidemark/runtime";
import { bytesOfBatch } from "../batch.ts";
import type { AppendOutcome, RefusalReason } from "../consensus.ts";
import { detached } from "../detached.ts";
import type { EventSink } from "../events.ts";
import type { AppendValue } from "../records.ts";
import type { StoreChange } from "../store/store-link.ts";
import type { Fence } from "./fence.ts";
import { type Attempt, type LostRequestOptions, settleLostRequest } from "./lost-request.ts";

/** What one request takes along at most, keys and values together, so that a flush stays short. */
const requestBytesMax = 1024 * 1024;

export interface TermOptions extends LostRequestOptions {
  readonly epoch: ControllerEpoch;
  readonly fence: Fence;
  readonly clock: Clock;
  readonly onEvent: EventSink;
  /** The epoch is over, as far as this candidate can tell. */
  readonly onOver: () => void;
}

export interface Term {
  /** Never rejects. */
  append(changes: readonly StoreChange[]): Promise<AppendOutcome>;
  /** What waits and all that comes is refused. What is on its way gets its outcome. A second call does nothing. */
  end(reason: RefusalReason, message: string): void;
  /** What the watch saw, so that the revision of a lost answer is known. */
  observe(value: AppendValue, revision: Revision): void;
  /** The watch skipped batches: what it did not see may have been there. */
  observeGap(): void;
}

interface Waiting {
  readonly changes: readonly StoreChange[];
  readonly settled: Deferred<AppendOutcome>;
}

/** `over`: the outcome of whatever comes now. */
interface TermState {
  waiting: Waiting[];
  attempt: Attempt | undefined;
  over: AppendOutcome | undefined;
  busy: boolean;
}

export function createTerm(options: TermOptions): Term {
  const state: TermState = { waiting: [], attempt: undefined, over: undefined, busy: false };
  return {
    append(changes) {
      if (state.over !== undefined) return Promise.resolve(state.over);
      const settled = createDeferred<AppendOutcome>();
      state.waiting.push({ changes, settled });
      if (!state.busy) detached(carryAll(state, options));
      return settled.promise;
    },
    end: (reason, message) => stop(state, options, refused(reason, message)),
    observe(value, revision) {
      if (state.attempt?.values.some(({ attempt }) => attempt === value.attempt)) {
        state.attempt.seen.set(value.attempt, revision);
      }
    },
    observeGap() {
      if (state.attempt !== undefined) state.attempt.skipped = true;
    },
  };
}

async function carryAll(state: TermState, options: TermOptions): Promise<void> {
  state.busy = true;
  while (state.waiting.length > 0) {
    const taken = take(state.waiting, options.fence.batchesMax);
    state.waiting = state.waiting.slice(taken.length);
    const startedMs = options.clock.monotonicMs();
    const outcomes = await carry(state, options, taken);
    if (outcomes === "again") {
      state.waiting = [...taken, ...state.waiting];
      continue;
    }
    report(options, taken, outcomes, startedMs);
    taken.forEach(({ settled }, at) => settled.resolve(outcomes[at] ?? unknown("the store left it unanswered")));
  }
  state.busy = false;
}

/** One request. `again`: it was not carried out, and this epoch goes on. */
async function carry(
  state: TermState,
  options: TermOptions,
  taken: readonly Waiting[],
): Promise<readonly AppendOutcome[] | "again"> {
  const { over } = state;
  if (over !== undefined) return taken.map(() => over);
  const { fence } = options;
  const attempt: Attempt = { values: fence.next(taken.length), seen: new Map(), skipped: false };
  state.attempt = attempt;
  const all = (outcome: AppendOutcome) => taken.map(() => outcome);
  const answer = await fence.request(
    attempt.values,
    taken.map(({ changes }) => changes),
  );
  switch (answer.kind) {
    case "committed":
      fence.moveTo(attempt.values.at(-1) ?? fence.current());
      return answer.revisions.map((revision) => ({ kind: "committed", revision }));
    case "conflict":
    case "sessionEnded":
      return all(fenced(state, options));
    case "noSpace":
      return all(refused("NO_SPACE", answer.message));
    case "refused":
      return all(refused("STORE_REFUSED", answer.message));
    case "failed":
      return all(refused("FAILED", answer.message));
    case "unknown":
      return all(giveUp(state, options, answer.message));
    case "lost":
      return carryLost(state, options, attempt, all);
  }
}

async function carryLost(
  state: TermState,
  options: TermOptions,
  attempt: Attempt,
  all: (outcome: AppendOutcome) => readonly AppendOutcome[],
): Promise<readonly AppendOutcome[] | "again"> {
  const { epoch, onEvent } = options;
  const settlement = await settleLostRequest(attempt, options);
  switch (settlement.kind) {
    case "applied":
      onEvent({ kind: "appendSettled", epoch, applied: true });
      return settlement.outcomes;
    case "notApplied":
      onEvent({ kind: "appendSettled", epoch, applied: false });
      return "again";
    case "fenced":
      return all(fenced(state, options));
    case "unknown":
      return all(giveUp(state, options, settlement.message));
  }
}

function fenced(state: TermState, options: TermOptions): AppendOutcome {
  options.onEvent({ kind: "fenced", epoch: options.epoch });
  const outcome = refused("FENCED", `controller epoch ${options.epoch} is over`);
  stop(state, options, outcome);
  return outcome;
}

/** What waits was not sent: refused. What was on its way: unknown. */
function giveUp(state: TermState, options: TermOptions, message: string): AppendOutcome {
  stop(state, options, refused("FENCED", `controller epoch ${options.epoch} was given up: ${message}`));
  return unknown(message);
}

function stop(state: TermState, options: TermOptions, outcome: AppendOutcome): void {
  if (state.over !== undefined) return;
  state.over = outcome;
  options.onOver();
}

/** The first that wait, as many as one request takes: at least one. */
function take(waiting: readonly Waiting[], batchesMax: number): readonly Waiting[] {
  let bytes = 0;
  const end = waiting.findIndex(({ changes }, at) => {
    bytes += bytesOfBatch(changes);
    return at > 0 && (at >= batchesMax || bytes > requestBytesMax);
  });
  return end === -1 ? waiting : waiting.slice(0, end);
}

function report(
  { epoch, clock, onEvent }: TermOptions,
  taken: readonly Waiting[],
  outcomes: readonly AppendOutcome[],
  startedMs: number,
): void {
  const last = outcomes.at(-1);
  switch (last?.kind) {
    case undefined:
      return;
    case "refused":
      onEvent({ kind: "appendRefused", epoch, reason: last.reason, message: last.message });
      return;
    case "unknown":
      onEvent({ kind: "appendUnknown", epoch, message: last.message });
      return;
    case "committed": {
      const bytes = taken.reduce((sum, { changes }) => sum + bytesOfBatch(changes), 0);
      const ms = clock.monotonicMs() - startedMs;
      onEvent({ kind: "appended", epoch, batches: taken.length, bytes, revision: last.revision, ms });
    }
  }
}

function refused(reason: RefusalReason, message: string): AppendOutcome {
  return { kind: "refused", reason, message };
}

function unknown(message: string): AppendOutcome {
  return { kind: "unknown", message };
}
