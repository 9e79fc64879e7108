/**
 * One candidate's part in the election.
 *
 * | from      | to        | when                                                                                     |
 * |-----------|-----------|------------------------------------------------------------------------------------------|
 * | outside   | standby   | `join`, once `/controllers/<id>` is written                                              |
 * | standby   | claiming  | it may claim, `/controller` is free, nothing seals the store, and it did not just resign |
 * |           |           | among rivals, unless the store did not take that; or the endpoint that `/controller`     |
 * |           |           | names refuses everybody (`Takeover`)                                                     |
 * | claiming  | leading   | its claim is in `/append`, and its copy holds all that was committed before (C4)         |
 * | claiming  | standby   | another was first, or the answer was lost                                                |
 * | leading   | standby   | a newer epoch or another `/controller` is seen, an append is fenced, `resign`            |
 * | any       | standby   | the session is lost: belief ends at once, and the next session registers anew            |
 *
 * Belief is announced after the state has changed, and lost belief before anything is sent.
 */
import { type ControllerEpoch, controllerEpoch } from "@tidemark/ids";
import type { Cancel } from "@tidemark/runtime";
import {
  type AppendFailure,
  type AppendOutcome,
  type CandidateIdentity,
  ConsensusError,
  type Leadership,
} from "../consensus.ts";
import { detached } from "../detached.ts";
import type { LatestValue } from "../latest-value.ts";
import { encodeController, isSealed } from "../records.ts";
import type { StoreChange, StoreFeed, StoreSession } from "../store/store-link.ts";
import { type Claim, carryOutClaim, newClaim } from "./claim.ts";
import type { CandidateStanding, ElectedTerm } from "./claim-right.ts";
import type { CandidateContext } from "./context.ts";
import { catchUp } from "./exchange.ts";
import { createFence } from "./fence.ts";
import { register } from "./registration.ts";
import { clusterKey, sealingChanges, unseal } from "./sealing.ts";
import { hasRival, holds, isFree, leaderInSight, sameLeadership } from "./standing.ts";
import { controllerKey } from "./store-keys.ts";
import { createTakeover, type Takeover } from "./takeover.ts";
import { createTerm, type Term } from "./term.ts";

/** After the storage refused, how long until the next registration or claim. */
const retryMs = 1_000;

export interface Election {
  join(identity: CandidateIdentity): Promise<void>;
  append(epoch: ControllerEpoch, changes: readonly StoreChange[]): Promise<AppendOutcome>;
  resign(): Promise<AppendFailure | undefined>;
  seal(epoch: ControllerEpoch): Promise<AppendOutcome>;
  unseal(): Promise<AppendOutcome>;
  /** After the copy of the tree took the event in. */
  onFeed(feed: StoreFeed): void;
  onConnected(session: StoreSession): void;
  onLost(): void;
  /** The right to claim was won or lost. */
  onRight(): void;
  /** Nothing is claimed or appended any more. */
  end(reason: "CLOSED" | "FAILED", message: string): void;
}

interface Lead extends Claim {
  readonly session: StoreSession;
  readonly term: Term;
}

interface ElectionState {
  readonly context: CandidateContext;
  readonly belief: LatestValue<Leadership>;
  identity: CandidateIdentity | undefined;
  /** The session that `/controllers/<id>` is bound to. */
  registered: StoreSession | undefined;
  lead: Lead | undefined;
  /** A registration, claim or resignation is under way. */
  busy: boolean;
  /** Resigned: rivals come first. */
  standsBack: boolean;
  /** The last term in which a claim was won. */
  claimedTerm: number | undefined;
  ended: AppendOutcome | undefined;
  cancelRetry: Cancel | undefined;
  readonly takeover: Takeover | undefined;
  /** The epoch whose leader's process is gone. */
  goneEpoch: ControllerEpoch | undefined;
}

export function createElection(context: CandidateContext, belief: LatestValue<Leadership>): Election {
  const state: ElectionState = {
    context,
    belief,
    identity: undefined,
    registered: undefined,
    lead: undefined,
    busy: false,
    standsBack: false,
    claimedTerm: undefined,
    ended: undefined,
    cancelRetry: undefined,
    takeover:
      context.takeover === undefined
        ? undefined
        : createTakeover(context.takeover, {
            runtime: context.runtime,
            onGone: (epoch, refusals) => detached(takeOver(state, epoch, refusals)),
            onUnreached: (epoch, endpoint) => context.onEvent({ kind: "leaderUnreached", epoch, endpoint }),
          }),
    goneEpoch: undefined,
  };
  return {
    join: (identity) => join(state, identity),
    append: (epoch, changes) => append(state, epoch, changes),
    resign: () => resign(state),
    seal: (epoch) => seal(state, epoch),
    unseal: () => unsealHere(state),
    onFeed(feed) {
      if (feed.kind === "snapshot") state.lead?.term.observeGap();
      observe(state);
      evaluate(state);
    },
    onConnected: (session) => {
      if (state.identity !== undefined) detached(registerAgain(state, state.identity, session));
      else evaluate(state);
    },
    onLost() {
      state.registered = undefined;
      stepDown(state, "the connection to the store was lost");
      announce(state, { kind: "none" });
      report(state);
    },
    onRight: () => evaluate(state),
    end(reason, message) {
      if (state.ended !== undefined) return;
      state.ended = { kind: "refused", reason, message };
      state.cancelRetry?.();
      announce(state, { kind: "none" });
      state.takeover?.end();
      state.lead?.term.end(reason, message);
      state.lead = undefined;
      report(state);
    },
  };
}

async function join(state: ElectionState, identity: CandidateIdentity): Promise<void> {
  if (state.identity !== undefined) throw new ConsensusError("ALREADY_JOINED", "this candidate joined before");
  if (!/^[^\s:]+:[0-9]{1,5}$|^\[[0-9a-fA-F:.]+\]:[0-9]{1,5}$/.test(identity.endpoint)) {
    throw new ConsensusError("INVALID_IDENTITY", `an endpoint is host:port, not ${JSON.stringify(identity.endpoint)}`);
  }
  state.identity = identity;
  state.busy = true;
  try {
    await joinAs(state, identity);
  } catch (error) {
    state.identity = undefined;
    throw error;
  } finally {
    state.busy = false;
  }
  evaluate(state);
}

async function joinAs(state: ElectionState, identity: CandidateIdentity): Promise<void> {
  const { connection, signal, onEvent } = state.context;
  for (;;) {
    const session = await connection.connected(signal);
    const outcome = await register(session, identity, state.context);
    switch (outcome.kind) {
      case "registered":
        state.registered = session;
        onEvent({ kind: "joined" });
        return;
      case "sessionLost":
        break;
      case "taken":
        throw new ConsensusError("ID_TAKEN", `a living candidate has the controller id ${identity.controllerId}`);
      case "noSpace":
        throw new ConsensusError("NO_SPACE", `the storage is full: ${outcome.message}`);
      case "failed":
        throw new ConsensusError("FAILED", `the storage refused or failed: ${outcome.message}`);
    }
  }
}

/** In a session behind the first: the old one's `/controllers/<id>` is gone, or will be. */
async function registerAgain(state: ElectionState, identity: CandidateIdentity, session: StoreSession): Promise<void> {
  if (state.busy) return;
  state.busy = true;
  const outcome = await register(session, identity, state.context);
  state.busy = false;
  switch (outcome.kind) {
    case "registered":
      state.registered = session;
      evaluate(state);
      break;
    case "sessionLost":
      evaluate(state);
      break;
    case "taken":
      state.context.onEvent({ kind: "idTaken", controllerId: identity.controllerId });
      break;
    case "noSpace":
    case "failed":
      retryLater(state);
      break;
  }
}

async function append(
  state: ElectionState,
  epoch: ControllerEpoch,
  changes: readonly StoreChange[],
): Promise<AppendOutcome> {
  const lead = leadOf(state, epoch);
  return lead.kind === "lead" ? lead.lead.term.append(changes) : lead;
}

/** The leadership in this epoch, or why there is none. */
function leadOf(
  state: ElectionState,
  epoch: ControllerEpoch,
): { readonly kind: "lead"; readonly lead: Lead } | AppendOutcome {
  if (state.ended !== undefined) return state.ended;
  if (isSealed(state.context.hub.get(clusterKey))) {
    return { kind: "refused", reason: "SEALED", message: "the store was exported and takes nothing more" };
  }
  if (state.lead?.epoch === epoch) return { kind: "lead", lead: state.lead };
  return { kind: "refused", reason: "FENCED", message: `this candidate does not lead controller epoch ${epoch}` };
}

async function seal(state: ElectionState, epoch: ControllerEpoch): Promise<AppendOutcome> {
  const found = leadOf(state, epoch);
  if (found.kind !== "lead") return found;
  return giveUpWith(state, found.lead, async ({ term, session }) => {
    // Behind what was called before, so that `/cluster` is sealed as those left it.
    const barrier = await term.append([]);
    if (barrier.kind !== "committed" || !(await catchUp(session, state.context))) return barrier;
    const changes = sealingChanges(epoch, state.context);
    if (changes !== undefined) return term.append(changes);
    return { kind: "refused", reason: "INVALID_BATCH", message: "there is no /cluster that could be sealed" };
  });
}

async function unsealHere(state: ElectionState): Promise<AppendOutcome> {
  if (state.ended !== undefined) return state.ended;
  const session = await state.context.connection.connected(state.context.signal);
  return unseal(session, state.context);
}

async function resign(state: ElectionState): Promise<AppendFailure | undefined> {
  const { lead } = state;
  if (lead === undefined) return undefined;
  state.standsBack = true;
  let failure: AppendFailure | undefined;
  const value = encodeController({ kind: "resigned", epoch: lead.epoch });
  await giveUpWith(state, lead, async ({ term }) => {
    const outcome = await term.append([{ kind: "put", key: controllerKey, value, ephemeral: true }]);
    // `/controller` may still name this candidate, and then nobody but it may claim: standing back would be for ever.
    if (outcome.kind !== "committed" && state.context.right.term()?.overLeaders === false) {
      state.standsBack = false;
      failure = outcome;
    }
    return outcome;
  });
  if (failure === undefined) state.context.onEvent({ kind: "resigned", epoch: lead.epoch });
  return failure;
}

/** Ends the leadership with a last batch: belief first, and nothing is claimed before the batch is settled. */
async function giveUpWith(
  state: ElectionState,
  lead: Lead,
  appendLast: (lead: Lead) => Promise<AppendOutcome>,
): Promise<AppendOutcome> {
  state.lead = undefined;
  state.busy = true;
  announce(state, { kind: "none" });
  report(state);
  const outcome = await appendLast(lead);
  lead.term.end("FENCED", `this candidate gave controller epoch ${lead.epoch} up`);
  state.busy = false;
  evaluate(state);
  return outcome;
}

function observe(state: ElectionState): void {
  const { keys } = state.context;
  const term = state.lead?.term;
  const { value, revision } = keys.append();
  if (value !== undefined && revision !== undefined) term?.observe(value, revision);
}

/** Looks at the tree as it is now, and does what follows from it. */
function evaluate(state: ElectionState): void {
  const { identity, lead, context } = state;
  if (state.ended !== undefined || context.connection.current() === undefined) return;
  if (lead !== undefined && identity !== undefined) {
    if (holds(context.keys, lead, identity)) return;
    stepDown(state, "another controller epoch began");
  }
  announce(state, leaderInSight(context.keys, identity));
  if (identity !== undefined) goForLeadership(state, identity);
  report(state);
}

function report(state: ElectionState): void {
  state.context.right.report(standingOf(state));
}

function standingOf({ ended, identity, lead, standsBack, context }: ElectionState): CandidateStanding {
  if (ended !== undefined || identity === undefined) return "outside";
  if (lead !== undefined) return "leading";
  return standsBack && hasRival(context.keys, identity) ? "standsBack" : "ready";
}

function goForLeadership(state: ElectionState, identity: CandidateIdentity): void {
  const { context } = state;
  const session = context.connection.current();
  if (session === undefined || state.busy || isSealed(context.hub.get(clusterKey))) return;
  if (state.registered !== session) {
    detached(registerAgain(state, identity, session));
    return;
  }
  const term = context.right.term();
  const overLeaders = term !== undefined && term.overLeaders && term.term !== state.claimedTerm;
  if (!isFree(context.keys, identity, { overLeaders, goneEpoch: state.goneEpoch })) {
    state.standsBack = false;
    return;
  }
  if (term === undefined || (state.standsBack && hasRival(context.keys, identity))) return;
  detached(claimNext(state, identity, session, term));
}

async function claimNext(
  state: ElectionState,
  identity: CandidateIdentity,
  session: StoreSession,
  elected: ElectedTerm,
): Promise<void> {
  const { context } = state;
  const epoch = nextEpoch(context, elected);
  if (epoch === undefined) return;
  const claim = newClaim(epoch, context);
  state.busy = true;
  state.goneEpoch = undefined;
  const startedMs = context.runtime.clock.monotonicMs();
  const outcome = await carryOutClaim(claim, identity, session, context);
  state.busy = false;
  const ms = context.runtime.clock.monotonicMs() - startedMs;
  context.onEvent({ kind: "claimed", epoch, outcome: outcome.kind, ms });
  const isElected = context.right.term()?.term === elected.term;
  if (outcome.kind === "won") state.claimedTerm = elected.term;
  if (outcome.kind === "won" && isElected && holds(context.keys, claim, identity)) lead(state, claim, session);
  if (outcome.kind === "noSpace" || outcome.kind === "failed") retryLater(state);
  else evaluate(state);
}

/**
 * One above every epoch ever seen, and no less than the term. Undefined, and reported, where no key says which that is
 * (C12).
 */
function nextEpoch({ keys, onEvent }: CandidateContext, elected: ElectedTerm): ControllerEpoch | undefined {
  const highest = keys.highestEpoch();
  try {
    if (highest !== undefined) return controllerEpoch(Math.max(highest + 1, elected.term));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  onEvent({ kind: "claimImpossible", message: `no controller epoch can follow on ${highest ?? "keys that say none"}` });
  return undefined;
}

function lead(state: ElectionState, claim: Claim, session: StoreSession): void {
  const { context } = state;
  const { epoch } = claim;
  const fence = createFence({ epoch, value: claim.fence, session, random: context.runtime.random });
  const term = createTerm({
    epoch,
    fence,
    guards: context.guards,
    clock: context.runtime.clock,
    onEvent: context.onEvent,
    onOver: () => forget(state, term),
    readAppend: async () => ((await catchUp(session, context)) ? (context.keys.append().value ?? "malformed") : "lost"),
  });
  state.lead = { ...claim, session, term };
  state.standsBack = false;
  const revision = context.keys.append().revision;
  if (revision !== undefined) announce(state, { kind: "leading", epoch, revision });
  report(state);
}

/** A term found out by itself that it is over. */
function forget(state: ElectionState, term: Term): void {
  if (state.lead?.term !== term) return;
  state.lead = undefined;
  announce(state, { kind: "none" });
  evaluate(state);
}

function stepDown(state: ElectionState, message: string): void {
  const { lead } = state;
  if (lead === undefined) return;
  state.lead = undefined;
  announce(state, { kind: "none" });
  lead.term.end("FENCED", `controller epoch ${lead.epoch} is over: ${message}`);
}

/** The leader's endpoint refuses. Whoever is up to date with the store, and still finds it leading, claims over it. */
async function takeOver(state: ElectionState, epoch: ControllerEpoch, refusals: number): Promise<void> {
  const session = state.context.connection.current();
  if (session === undefined || !(await catchUp(session, state.context))) return;
  state.context.onEvent({ kind: "leaderGone", epoch, refusals });
  state.goneEpoch = epoch;
  evaluate(state);
}

function announce(state: ElectionState, leadership: Leadership): void {
  // Whoever only reads never leads.
  if (state.identity !== undefined) state.takeover?.follow(leadership);
  if (sameLeadership(state.belief.current(), leadership)) return;
  state.belief.set(leadership);
  state.context.onEvent({ kind: "leadershipChanged", leadership });
}

function retryLater(state: ElectionState): void {
  if (state.ended !== undefined) return;
  state.cancelRetry?.();
  state.cancelRetry = state.context.runtime.scheduler.after(retryMs, () => evaluate(state));
}
