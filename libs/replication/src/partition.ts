/**
 * One partition on one broker, as a step machine. `step` takes an input and returns what to persist, what to send and
 * what to answer, in that order; it never waits, and does nothing itself.
 *
 * | role       | metadata: self leads | another leads   | nobody leads | resign, registered         | logFailed |
 * |------------|----------------------|-----------------|--------------|----------------------------|-----------|
 * | waiting    | leader               | follower        | leaderless   | waiting                    | offline   |
 * | leader     | same epoch: applies it; newer: leader anew | follower | leaderless | resigned  | offline   |
 * | follower   | leader               | same epoch: goes on; newer: follower anew | leaderless | follower, new session | offline |
 * | leaderless | leader               | follower        | leaderless   | leaderless                 | offline   |
 * | resigned   | newer leader epoch: leader; same: resigned | follower | leaderless | resigned | offline   |
 * | regressed  | newer leader epoch: leader; same: regressed | newer: follower | newer: leaderless | regressed | offline |
 * | offline    | offline              | offline         | offline      | offline                    | offline   |
 *
 * 1. Metadata counts by (leader epoch, partition epoch); what is not newer is ignored.
 * 2. A leader epoch is led once. A log that holds an epoch at or above the one to be led has led it before, or
 *    belongs to a later time: it waits for a newer leader epoch (P14).
 * 3. Whoever waits for an answer gets one when a leadership ends (R12).
 * 4. Metadata that are older than what replicas hold, as restored ones are, make nobody leader: a replica's log is of a
 *    later leader epoch, or a later controller tells of less than was known. A newer leader epoch ends that.
 */
import type { BrokerEpoch, BrokerId, ControllerEpoch, LeaderEpoch, Offset, PartitionEpoch } from "@tidemark/ids";
import { noLeaderEpoch } from "@tidemark/ids";
import { noHint, type PartitionContext } from "./context.ts";
import type { Confirmation, ProposalAttempt } from "./controller-messages.ts";
import {
  becomeFollower,
  type FollowerState,
  followerFlushed,
  followerTookBack,
  replicaResponse,
  restartSession,
  resumesAtMs,
  tickFollower,
} from "./follower.ts";
import { allGuards, type ReplicationGuards } from "./guards.ts";
import type { MetadataInput, PartitionInput } from "./inputs.ts";
import { becomeLeader, cancelAtLeader, endLeadership, type LeaderNumbers, tickLeader } from "./leader.ts";
import { applyCommitted, proposalAnswered } from "./leader-isr.ts";
import { leaderTookBack, ownFlush, produce } from "./leader-produce.ts";
import { leadershipConfirmed, read } from "./leader-reads.ts";
import { replicaFetch, replicaFlushed, standingFetch } from "./leader-replication.ts";
import type { LeaderState } from "./leader-state.ts";
import { createOutput, type LeaderHint, type PartitionOutput, type RefusalReason } from "./outputs.ts";
import type { PartitionState } from "./partition-state.ts";
import { createProducerTable, type ProducerLookup } from "./producers/producer-table.ts";
import { createReplicaLog, type FlushGeneration, type LogSnapshot, moveLogStart, takeBack } from "./replica-log.ts";
import type { FetchSession, FetchSessions } from "./replica-messages.ts";
import { createProgress, forgetPositions } from "./replica-progress.ts";
import type { ReplicationSettings } from "./settings.ts";
import { type PartitionView, viewLeadership } from "./view.ts";

export interface Partition {
  /** Takes one input. The output belongs to the caller. */
  step(input: PartitionInput): PartitionOutput;
  /** First offset not known to be committed, as far as this replica knows in its role. */
  readonly highWatermark: Offset;
  readonly role: PartitionView["role"];
  /** On the clock of the inputs: when a follower that was refused is to be told the time. Undefined: nothing is due. */
  readonly resumesAtMs: number | undefined;
  /** What it has seen, in its log or in metadata, that the newest metadata do not know. Undefined: nothing. */
  readonly seenBeyond: SeenBeyond | undefined;
  /** A copy of what the partition knows; `nowMs` is what lags are measured against. */
  view(nowMs: number): PartitionView;
}

/** The newest that a replica has seen of its partition. */
export interface SeenBeyond {
  readonly leaderEpoch: LeaderEpoch;
  /** Of the newest metadata. Undefined: it has seen none. */
  readonly partitionEpoch: PartitionEpoch | undefined;
}

export interface PartitionOptions {
  readonly self: BrokerId;
  /** Of this broker's registration. */
  readonly brokerEpoch: BrokerEpoch;
  /** What the log on disk holds. */
  readonly log: LogSnapshot;
  /** As checkpointed; never above the log end. */
  readonly highWatermark: Offset;
  readonly settings: ReplicationSettings;
  /** One for all partitions of a broker process, so that a partition opened anew goes on counting. */
  readonly sessions: FetchSessions;
  /** The idempotent producers of the log, kept by whoever appends to it. Default: nobody is known. */
  readonly producers?: ProducerLookup;
  /** Tests turn single guards off. Default: every guard on. */
  readonly guards?: ReplicationGuards;
}

type Role =
  | { readonly kind: "waiting" | "leaderless" | "resigned" | "regressed" | "offline" }
  | { readonly kind: "leader"; readonly leader: LeaderState }
  | { readonly kind: "follower"; readonly follower: FollowerState };

interface PartitionMachine {
  readonly context: PartitionContext;
  readonly numbers: LeaderNumbers;
  readonly sessions: FetchSessions;
  state: PartitionState | undefined;
  /** Of the controller that told of the newest state. */
  toldBy: ControllerEpoch | undefined;
  role: Role;
}

export function createPartition(options: PartitionOptions): Partition {
  const log = createReplicaLog(options.log);
  const machine: PartitionMachine = {
    context: {
      self: options.self,
      guards: options.guards ?? allGuards,
      log,
      producers: options.producers ?? createProducerTable(),
      progress: new Map(),
      brokerEpoch: options.brokerEpoch,
      settings: options.settings,
      highWatermark: options.highWatermark < log.end ? options.highWatermark : log.end,
      controllerEpoch: undefined,
      out: createOutput(),
    },
    numbers: { attempts: counter<ProposalAttempt>(), confirmations: counter<Confirmation>() },
    sessions: options.sessions,
    state: undefined,
    toldBy: undefined,
    role: { kind: "waiting" },
  };
  const rest: Omit<Partition, keyof Standing> = {
    step(input) {
      const out = createOutput();
      machine.context.out = out;
      handle(machine, input);
      return out;
    },
    view(nowMs) {
      const { context, role } = machine;
      const { log } = context;
      const state = newestState(machine);
      return {
        self: context.self,
        brokerEpoch: context.brokerEpoch,
        role: role.kind,
        hint: hintOf(state),
        state,
        logStart: log.start,
        logEnd: log.end,
        flushed: log.flushed,
        highWatermark: context.highWatermark,
        leaderEpochs: log.epochs.entries(),
        regressedFrom: regressedFromOf(machine),
        leadership: role.kind === "leader" ? viewLeadership(role.leader, nowMs) : undefined,
      };
    },
  };
  return Object.assign(new Standing(machine), rest);
}

/** A class, since an object of a literal with getters has a shape of its own, and a broker holds thousands. */
class Standing {
  readonly #machine: PartitionMachine;

  constructor(machine: PartitionMachine) {
    this.#machine = machine;
  }

  get highWatermark(): Offset {
    return this.#machine.context.highWatermark;
  }
  get role(): PartitionView["role"] {
    return this.#machine.role.kind;
  }
  get seenBeyond(): SeenBeyond | undefined {
    const leaderEpoch = regressedFromOf(this.#machine);
    if (leaderEpoch === undefined) return undefined;
    return { leaderEpoch, partitionEpoch: newestState(this.#machine)?.partitionEpoch };
  }
  get resumesAtMs(): number | undefined {
    const { role } = this.#machine;
    return role.kind === "follower" ? resumesAtMs(role.follower) : undefined;
  }
}

/** What a leader epoch has to be above to be believed again, where the metadata are older than what is held here. */
function regressedFromOf(machine: PartitionMachine): LeaderEpoch | undefined {
  const known = newestState(machine)?.leaderEpoch;
  const held = machine.context.log.epochs.latest();
  if (known === undefined) return undefined;
  if (machine.role.kind !== "regressed" && held <= known) return undefined;
  return held > known ? held : known;
}

/** The fetch sessions of a broker process, numbered over all its partitions. */
export function createFetchSessions(): FetchSessions {
  return counter<FetchSession>();
}

function counter<Value extends number>(): { next(): Value } {
  let last = 0;
  return { next: () => ++last as Value };
}

function handle(machine: PartitionMachine, input: PartitionInput): void {
  const { role, context } = machine;
  switch (input.kind) {
    case "metadata":
      applyMetadata(machine, input);
      return;
    case "flushed":
      flushed(machine, input);
      return;
    case "replicaResponse":
      if (role.kind === "follower") replicaResponse(role.follower, input.response, input.nowMs);
      return;
    case "tick":
      if (role.kind === "leader") tickLeader(role.leader, input);
      else if (role.kind === "follower") tickFollower(role.follower, input.nowMs);
      return;
    case "appendRefused":
      appendRefused(machine, input);
      return;
    case "logStartAdvanced":
      advanceLogStart(context, input.logStart);
      return;
    case "registered":
      register(machine, input);
      return;
    case "replicaRegistered":
      noteRegistration(context, input);
      return;
    case "resign":
      resign(machine, input.reason);
      return;
    case "logFailed":
      goOffline(machine, input.reason);
      return;
    case "settingsChanged":
      context.settings = input.settings;
      return;
    default:
      if (role.kind === "leader") stepLeader(machine, role.leader, input);
      else refuseAsOther(machine, input);
  }
}

type LeaderInput = Extract<
  PartitionInput,
  {
    kind:
      | "produce"
      | "consumerFetch"
      | "latestOffset"
      | "replicaFetch"
      | "standingFetch"
      | "replicaFlushed"
      | "proposalAnswered"
      | "leadershipConfirmed"
      | "cancel";
  }
>;

function stepLeader(machine: PartitionMachine, leader: LeaderState, input: LeaderInput): void {
  const { state } = leader;
  handleAsLeader(leader, machine.context, input);
  if (leader.state !== state) machine.toldBy = machine.context.controllerEpoch;
  const { laterReplica } = leader;
  if (laterReplica === undefined) return;
  const { replica, lastEpoch } = laterReplica;
  regress(machine, `the log of ${replica} holds leader epoch ${lastEpoch}`);
}

function handleAsLeader(leader: LeaderState, context: PartitionContext, input: LeaderInput): void {
  switch (input.kind) {
    case "produce":
      produce(leader, input);
      return;
    case "consumerFetch":
    case "latestOffset":
      read(leader, input);
      return;
    case "replicaFetch":
      replicaFetch(leader, input);
      return;
    case "standingFetch":
      standingFetch(leader, input);
      return;
    case "replicaFlushed":
      replicaFlushed(leader, input.report, input.nowMs);
      return;
    case "proposalAnswered":
      if ("controllerEpoch" in input.answer) hearController(context, input.answer.controllerEpoch);
      proposalAnswered(leader, input);
      return;
    case "leadershipConfirmed":
      leadershipConfirmed(leader, input);
      return;
    case "cancel":
      cancelAtLeader(leader, input.requestId);
      return;
  }
}

/** Only a leader answers for the partition (R1). */
function refuseAsOther(machine: PartitionMachine, input: LeaderInput): void {
  const { kind } = machine.role;
  const reason = kind === "offline" ? "REPLICA_OFFLINE" : kind === "regressed" ? "METADATA_REGRESSED" : "NOT_LEADER";
  const { answer } = machine.context.out;
  switch (input.kind) {
    case "produce":
    case "consumerFetch":
    case "latestOffset": {
      const hint = hintOf(machine.state);
      answer.push({ kind: "refused", requestId: input.requestId, refusal: { reason, outcome: "NOT_APPLIED", hint } });
      return;
    }
    case "replicaFetch":
    case "standingFetch": {
      const { requestId, fetch } = input;
      const { replica, session, leaderEpoch } = fetch;
      answer.push({ kind: "replicaRefused", requestId, replica, session, leaderEpoch, reason });
      return;
    }
    case "replicaFlushed":
    case "proposalAnswered":
    case "leadershipConfirmed":
    case "cancel":
      return;
  }
}

function applyMetadata(machine: PartitionMachine, input: MetadataInput): void {
  const { context, role } = machine;
  const { state, nowMs } = input;
  hearController(context, input.controllerEpoch);
  const known = newestState(machine);
  const regressedFrom = role.kind === "regressed" ? regressedFromOf(machine) : undefined;
  const isDecidedAnew = regressedFrom !== undefined && state.leaderEpoch > regressedFrom;
  const isNews =
    known === undefined ||
    isDecidedAnew ||
    (state.leaderEpoch >= known.leaderEpoch && state.partitionEpoch > known.partitionEpoch);
  if (!isNews) {
    const { leaderEpoch, partitionEpoch } = state;
    context.out.trace.push({ kind: "staleMetadata", leaderEpoch, partitionEpoch });
    // The same state again is no news of an earlier one.
    const isOlder = state.leaderEpoch < known.leaderEpoch || state.partitionEpoch < known.partitionEpoch;
    if (isOlder && machine.toldBy !== undefined && input.controllerEpoch > machine.toldBy) {
      const { leaderEpoch: held, partitionEpoch: at } = known;
      regress(machine, `leader epoch ${held} and partition epoch ${at} were known`);
    }
    return;
  }
  machine.state = state;
  machine.toldBy = input.controllerEpoch;
  if (role.kind === "offline") return;
  const assigned = state.replicas.includes(context.self);
  if (assigned && known !== undefined && state.leaderEpoch === known.leaderEpoch) {
    if (role.kind === "leader") applyCommitted(role.leader, state, nowMs);
    return;
  }
  end(machine, "NOT_LEADER", hintOf(state));
  machine.role = assigned ? takeRole(machine, state, nowMs) : { kind: "waiting" };
}

function takeRole(machine: PartitionMachine, state: PartitionState, nowMs: number): Role {
  const { context } = machine;
  const { leader, leaderEpoch } = state;
  if (leader === undefined) {
    context.out.trace.push({ kind: "leaderless", leaderEpoch });
    return { kind: "leaderless" };
  }
  if (leader !== context.self) {
    return { kind: "follower", follower: becomeFollower(context, machine.sessions, { leader, leaderEpoch, nowMs }) };
  }
  if (context.log.epochs.latest() > leaderEpoch) {
    const reason = `the own log holds leader epoch ${context.log.epochs.latest()}`;
    context.out.trace.push({ kind: "metadataRegressed", reason });
    return { kind: "regressed" };
  }
  if (context.log.epochs.latest() === leaderEpoch) {
    const reason = `the log holds leader epoch ${context.log.epochs.latest()} already`;
    context.out.trace.push({ kind: "resigned", reason });
    return { kind: "resigned" };
  }
  return { kind: "leader", leader: becomeLeader(context, machine.numbers, { state, nowMs }) };
}

function flushed(
  machine: PartitionMachine,
  input: { readonly offset: Offset; readonly generation: FlushGeneration },
): void {
  const { context, role } = machine;
  const { log, guards, out } = context;
  const { offset, generation } = input;
  if (guards.cutEndsFlushes && generation !== log.generation) {
    out.trace.push({ kind: "flushIgnored", offset, generation });
    return;
  }
  const reached = offset < log.end ? offset : log.end;
  if (reached <= log.flushed || role.kind === "offline") return;
  log.flushed = reached;
  out.trace.push({ kind: "flushed", offset: reached });
  if (role.kind === "leader") ownFlush(role.leader);
  else if (role.kind === "follower") followerFlushed(role.follower);
}

function appendRefused(machine: PartitionMachine, input: { readonly from: Offset; readonly nowMs: number }): void {
  const { context, role } = machine;
  const { log, out } = context;
  if (input.from >= log.end || role.kind === "offline") return;
  takeBack(log, input.from);
  out.trace.push({ kind: "appendRefused", from: input.from });
  if (role.kind === "leader") leaderTookBack(role.leader);
  else if (role.kind === "follower") followerTookBack(role.follower, input.nowMs);
}

function advanceLogStart(context: PartitionContext, logStart: Offset): void {
  const { log } = context;
  if (logStart <= log.start || logStart > context.highWatermark) return;
  moveLogStart(log, logStart);
  context.out.persist.push({ kind: "advanceLogStart", logStart });
}

function register(
  machine: PartitionMachine,
  input: { readonly brokerEpoch: BrokerEpoch; readonly nowMs: number },
): void {
  const { context, role } = machine;
  if (input.brokerEpoch <= context.brokerEpoch) return;
  context.brokerEpoch = input.brokerEpoch;
  if (role.kind === "leader") resign(machine, "registered anew");
  else if (role.kind === "follower") restartSession(role.follower, input.nowMs);
}

/** Positions of an older incarnation count no longer, though the newer one has not fetched yet (R2). */
function noteRegistration(
  context: PartitionContext,
  input: { readonly replica: BrokerId; readonly brokerEpoch: BrokerEpoch },
): void {
  if (input.replica === context.self || !context.guards.brokerEpoch) return;
  const progress = context.progress.get(input.replica) ?? createProgress(input.replica);
  context.progress.set(input.replica, progress);
  if (progress.brokerEpoch !== undefined && input.brokerEpoch <= progress.brokerEpoch) return;
  forgetPositions(progress);
  progress.brokerEpoch = input.brokerEpoch;
}

function resign(machine: PartitionMachine, reason: string): void {
  if (machine.role.kind !== "leader") return;
  machine.context.out.trace.push({ kind: "resigned", reason });
  end(machine, "NOT_LEADER", noHint(machine.role.leader.leaderEpoch));
  machine.role = { kind: "resigned" };
}

/** Nothing is served until a newer leader epoch says who leads: what replicas hold would be cut for less. */
function regress(machine: PartitionMachine, reason: string): void {
  const { role } = machine;
  if (role.kind === "offline" || role.kind === "regressed") return;
  machine.context.out.trace.push({ kind: "metadataRegressed", reason });
  end(machine, "METADATA_REGRESSED", hintOf(newestState(machine)));
  machine.role = { kind: "regressed" };
}

function goOffline(machine: PartitionMachine, reason: string): void {
  if (machine.role.kind === "offline") return;
  machine.context.out.trace.push({ kind: "offline", reason });
  end(machine, "REPLICA_OFFLINE", hintOf(newestState(machine)));
  machine.role = { kind: "offline" };
}

function end(
  machine: PartitionMachine,
  reason: RefusalReason & ("NOT_LEADER" | "REPLICA_OFFLINE" | "METADATA_REGRESSED"),
  hint: LeaderHint,
): void {
  machine.state = newestOf(machine.state, newestState(machine));
  if (machine.role.kind === "leader") endLeadership(machine.role.leader, { hint, reason });
}

/** A leader may have learned a newer state from the answer to its own proposal. */
function newestState(machine: PartitionMachine): PartitionState | undefined {
  return newestOf(machine.state, machine.role.kind === "leader" ? machine.role.leader.state : undefined);
}

function newestOf(one: PartitionState | undefined, other: PartitionState | undefined): PartitionState | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return other.partitionEpoch > one.partitionEpoch ? other : one;
}

function hearController(context: PartitionContext, controllerEpoch: ControllerEpoch): void {
  if (context.controllerEpoch === undefined || controllerEpoch > context.controllerEpoch) {
    context.controllerEpoch = controllerEpoch;
  }
}

function hintOf(state: PartitionState | undefined): LeaderHint {
  const leaderEpoch: LeaderEpoch = state?.leaderEpoch ?? noLeaderEpoch;
  return { leader: state?.leader, leaderEpoch };
}
