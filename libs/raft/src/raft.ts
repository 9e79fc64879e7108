/**
 * One node of a Raft cluster, as a step machine: inputs change its state and return at once, `ready()` says what is to be
 * done. No clock, no disk, no network, no randomness.
 *
 *     loop: tick, step, propose, ...  ->  ready()  ->  write and flush, send, apply  ->  flushed(token)
 *
 * A driver calls `ready()` after its inputs, as many of them as came together, until it returns undefined, and does what
 * the header of `ready.ts` says. All methods are to be called from one thread.
 */
import { campaign, campaignOnEvidence, countOwnVote } from "./campaign.ts";
import { advanceCommit } from "./commit.ts";
import { acknowledge, tickFollower } from "./follower.ts";
import { allGuards } from "./guards.ts";
import type { LogIndex, NodeId, Position } from "./ids.ts";
import { type ProposalOutcome, propose, tickLeader } from "./leader.ts";
import { createLogView } from "./log-view.ts";
import { createOutbox, emit, type Machine, releaseHeld } from "./machine.ts";
import type { Membership, MembershipChange } from "./membership.ts";
import { type ChangeOutcome, proposeMembership } from "./membership-change.ts";
import { createMembershipHistory } from "./membership-history.ts";
import type { Message } from "./messages.ts";
import { checkTiming, defaultLimits, type RaftOptions } from "./options.ts";
import { type ReadRequestOutcome, requestRead } from "./read-index.ts";
import { collectReady, type FlushToken, type Ready } from "./ready.ts";
import { restartReplication, restartSnapshots } from "./replication.ts";
import { checkedStart, type SnapshotMeta } from "./start-state.ts";
import { type RaftStatus, statusOf } from "./status.ts";
import { step } from "./step.ts";
import { type TransferOutcome, transferLeadership } from "./transfer.ts";
import { createFollower } from "./transitions.ts";

export interface Raft {
  /** Time passes by one tick. */
  tick(): void;
  /** Takes up a message from a peer. Never throws for what a peer says. */
  step(message: Message): void;
  /** Appends one entry; leaders only. */
  propose(data: Uint8Array): ProposalOutcome;
  /**
   * Asks for an index from which a read is linearizable, on any node. `context` names the read and is never used twice,
   * restarts included: an answer that is very late would pass for the answer to another read.
   */
  readIndex(context: string): ReadRequestOutcome;
  /** Hands leadership to another voter. Proposals are refused until it succeeded or an election timeout passed. */
  transferLeadership(to: NodeId): TransferOutcome;
  /** Changes the membership by one member; leaders only. */
  proposeMembership(change: MembershipChange): ChangeOutcome;
  /** The connection to `peer` was reset and its port refuses connections: its process is gone. Silence is no evidence. */
  peerRefused(peer: NodeId): void;
  /** Messages to `peer` may have been lost, because its connection broke. */
  peerUnreachable(peer: NodeId): void;
  /** What is to be done. Undefined when there is nothing. */
  ready(): Ready | undefined;
  /** The write of this token, and all before it, are on stable storage. A RangeError for a token never handed out. */
  flushed(token: FlushToken): void;
  /** What a snapshot at `index` has to say of itself. A RangeError when `index` is not among what was handed out and kept. */
  snapshotAt(index: LogIndex): Position & { readonly membership: Membership };
  /**
   * A snapshot of what was applied up to its index is on stable storage. Of the entries that it holds, the last
   * `keepEntries` are kept for followers that are a little behind.
   */
  compact(snapshot: SnapshotMeta, keepEntries: number): void;
  /** The driver has no longer the snapshot that ends at `index`; a newer one was given to `compact`. */
  snapshotGone(index: LogIndex): void;
  status(): RaftStatus;
}

/** Starts a node from what is on its disk. Throws a StartError or a RangeError when it must not start from that. */
export function createRaft(options: RaftOptions): Raft {
  const machine = createMachine(options);
  return {
    tick: () => tick(machine),
    step: (message) => step(machine, message),
    propose: (data) => propose(machine, data),
    readIndex: (context) => requestRead(machine, context),
    transferLeadership: (to) => transferLeadership(machine, to),
    proposeMembership: (change) => proposeMembership(machine, change),
    peerRefused(peer) {
      if (machine.lostEntries) return;
      machine.refusedTick.set(peer, machine.ticks);
      if (machine.role.kind === "leader") restartReplication(machine.role, peer);
      else campaignOnEvidence(machine, peer);
    },
    peerUnreachable(peer) {
      if (machine.role.kind === "leader") restartReplication(machine.role, peer);
    },
    ready: () => collectReady(machine),
    flushed: (token) => acknowledgeFlush(machine, token),
    snapshotAt(index) {
      const term = machine.log.termAt(index);
      if (term === undefined || index > machine.log.applied()) throw new RangeError(`No snapshot can be at ${index}`);
      return { index, term, membership: machine.membership.at(index) };
    },
    compact: (snapshot, keepEntries) => compact(machine, snapshot, keepEntries),
    snapshotGone(index) {
      if (machine.role.kind === "leader") restartSnapshots(machine.role, index);
    },
    status: () => statusOf(machine),
  };
}

function createMachine(options: RaftOptions): Machine {
  checkTiming(options.timing);
  const start = checkedStart(options.start);
  const machine: Omit<Machine, "role"> = {
    id: options.id,
    timing: options.timing,
    limits: { ...defaultLimits, ...options.limits },
    guards: { ...allGuards, ...options.guards },
    log: createLogView(start),
    membership: createMembershipHistory(start),
    term: start.hardState.term,
    votedFor: start.hardState.votedFor,
    ticks: 0,
    lostEntries: false,
    refusedTick: new Map(),
    evidenceTick: Number.NEGATIVE_INFINITY,
    preVotedTick: Number.NEGATIVE_INFINITY,
    flushes: { next: 1, acknowledged: 0, newestDue: 0, hardState: 0, hardStateDirty: false },
    out: createOutbox(),
  };
  return Object.assign(machine, { role: createFollower(machine, undefined) });
}

function tick(machine: Machine): void {
  if (machine.lostEntries) return;
  machine.ticks++;
  const { role } = machine;
  switch (role.kind) {
    case "follower":
      return tickFollower(machine, role);
    case "preCandidate":
    case "candidate":
      if (machine.ticks - role.startTick >= role.timeoutTicks) campaign(machine, "timeout");
      return;
    case "leader":
      return tickLeader(machine, role);
  }
}

function acknowledgeFlush(machine: Machine, token: FlushToken): void {
  const { flushes, log } = machine;
  if (token.write >= flushes.next) throw new RangeError(`Write ${token.write} was never handed out`);
  if (token.write <= flushes.acknowledged) return;
  const before = log.flushed();
  flushes.acknowledged = token.write;
  log.acknowledgeFlush(token.write);
  const moved = log.flushed() > before;
  if (moved) emit(machine, { kind: "flushed", index: log.flushed() });
  releaseHeld(machine);
  const { role } = machine;
  switch (role.kind) {
    case "follower":
      if (moved) acknowledge(machine, role, { force: false });
      return;
    case "candidate":
      return countOwnVote(machine);
    case "leader":
      return advanceCommit(machine, role);
    case "preCandidate":
  }
}

function compact(machine: Machine, snapshot: SnapshotMeta, keepEntries: number): void {
  const { log, membership } = machine;
  const before = log.base().index;
  log.compact(snapshot, Math.max(before, snapshot.index - keepEntries) as LogIndex);
  if (log.base().index === before) return;
  membership.forgetBefore(log.base().index);
  machine.out.compactThrough = log.base().index;
  emit(machine, { kind: "compacted", through: log.base().index });
}
