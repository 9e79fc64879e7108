/**
 * The state of one node, shared by the files that each hold one rule of the protocol.
 */
import type { RaftEvent } from "./events.ts";
import type { Guards } from "./guards.ts";
import type { LogIndex, NodeId, Term } from "./ids.ts";
import type { LogView } from "./log-view.ts";
import { isVoter, type Member } from "./membership.ts";
import type { MembershipHistory } from "./membership-history.ts";
import type { Message, SnapshotChunk, SnapshotChunkOrder } from "./messages.ts";
import type { Limits, Timing } from "./options.ts";
import type { Progress } from "./progress.ts";
import type { Role } from "./roles.ts";

/** How a read ended. `lost`: leadership changed before it was confirmed; ask again. */
export type ReadOutcome =
  | { readonly kind: "confirmed"; readonly context: string; readonly index: LogIndex }
  | { readonly kind: "lost"; readonly context: string };

export interface Machine {
  readonly id: NodeId;
  readonly timing: Timing;
  readonly limits: Limits;
  readonly guards: Guards;
  readonly log: LogView;
  readonly membership: MembershipHistory;
  term: Term;
  votedFor: NodeId | undefined;
  role: Role;
  /** Ticks since the start. */
  ticks: number;
  /** What this node had flushed is not there any more: it says and takes up nothing, for good. */
  lostEntries: boolean;
  /** When a peer's connection was reset and its port refused, last. */
  readonly refusedTick: Map<NodeId, number>;
  /** When this node campaigned on such evidence, last. */
  evidenceTick: number;
  /** When this node granted a pre-vote to another one, last. */
  preVotedTick: number;
  readonly flushes: FlushState;
  readonly out: Outbox;
}

/** Writes are numbered; the flush of one implies the flush of all before it. */
interface FlushState {
  /** The number that the next write gets. */
  next: number;
  /** The newest write whose flush was acknowledged. */
  acknowledged: number;
  /** The newest write that has to be flushed; 0 before the first one. */
  newestDue: number;
  /** The write that holds the current term and vote. */
  hardState: number;
  hardStateDirty: boolean;
}

/** What the next `ready()` hands out. */
export interface Outbox {
  messages: Message[];
  /** Messages that wait for the flush of a write, in the order of their writes. */
  held: { readonly write: number; readonly message: Message }[];
  chunkOrders: SnapshotChunkOrder[];
  receivedChunks: SnapshotChunk[];
  compactThrough: LogIndex | undefined;
  reads: ReadOutcome[];
  events: RaftEvent[];
}

export function createOutbox(): Outbox {
  return {
    messages: [],
    held: [],
    chunkOrders: [],
    receivedChunks: [],
    compactThrough: undefined,
    reads: [],
    events: [],
  };
}

export function emit(machine: Machine, event: RaftEvent): void {
  machine.out.events.push(event);
}

/** Sets term and vote, to be written before anything is said that rests on them. */
export function setHardState(machine: Machine, term: Term, votedFor: NodeId | undefined): void {
  if (machine.term === term && machine.votedFor === votedFor) return;
  machine.term = term;
  machine.votedFor = votedFor;
  machine.flushes.hardState = machine.flushes.next;
  machine.flushes.hardStateDirty = true;
}

/** Whether the next write has to be flushed. */
export function hasUnflushed(machine: Machine): boolean {
  return machine.flushes.hardStateDirty || machine.log.hasUnwritten();
}

/** Sends as soon as the sender's term is flushed: at once, nearly always. */
export function send(machine: Machine, message: Message): void {
  sendAfter(machine, machine.flushes.hardState, message);
}

/** Sends what promises something: after the flush of everything that this node took up before. */
export function sendPromise(machine: Machine, message: Message): void {
  const { next, newestDue } = machine.flushes;
  sendAfter(machine, hasUnflushed(machine) ? next : newestDue, message);
}

function sendAfter(machine: Machine, write: number, message: Message): void {
  const { out, flushes } = machine;
  if (write <= flushes.acknowledged || !machine.guards.answerAfterFlush) out.messages.push(message);
  else out.held.push({ write, message });
}

/** Lets go what waited for the writes that are flushed now. */
export function releaseHeld(machine: Machine): void {
  const { out, flushes } = machine;
  if (out.held.length === 0) return;
  for (const { write, message } of out.held) if (write <= flushes.acknowledged) out.messages.push(message);
  out.held = out.held.filter(({ write }) => write > flushes.acknowledged);
}

/** Who counts for majorities. */
export function votersOf(machine: Machine): readonly Member[] {
  const { voters, learners } = machine.membership.current();
  return machine.guards.learnersDoNotCount ? voters : [...voters, ...learners];
}

/** Whether this node may stand for election. */
export function isElectable(machine: Machine): boolean {
  return isVoter(machine.membership.current(), machine.id);
}

/**
 * Whether a leader hears a peer: something came from it in this term and within the shortest election timeout, and its
 * port did not refuse since.
 */
export function isHeard({ ticks, timing, refusedTick }: Machine, peer: NodeId, progress: Progress): boolean {
  const { contacted, contactTick } = progress;
  if (!contacted || ticks - contactTick >= timing.electionTicksMin) return false;
  return contactTick > (refusedTick.get(peer) ?? Number.NEGATIVE_INFINITY);
}

/** The leader as far as this node knows, itself included. */
export function knownLeader(machine: Machine): NodeId | undefined {
  if (machine.role.kind === "leader") return machine.id;
  return machine.role.kind === "follower" ? machine.role.leader : undefined;
}
