/**
 * One node: drives the protocol's state machine. Inputs (ticks, messages, proposals, flushes) come in any order; after
 * them `pump` takes what is to be done and does it in the order that the protocol asks for: messages may leave at once,
 * writes go to the disk in their order and are acknowledged when they are flushed, a snapshot is loaded before anything
 * is applied behind it, and what is committed is applied in its order.
 */
import type { CandidateStanding } from "@tidemark/consensus";
import { createSignal, detached, MalformedBytesError, type Signal } from "@tidemark/consensus/store";
import { DiskError } from "@tidemark/disk";
import {
  createRaft,
  type FlushToken,
  type Limits,
  type Message,
  type NodeId,
  type Raft,
  type RaftEvent,
  type RaftStatus,
  type Ready,
  type SnapshotMeta,
} from "@tidemark/raft";
import type { Crc32c } from "@tidemark/record";
import type { Runtime } from "@tidemark/runtime";
import { type Command, checkCommand, encodeCommand } from "../replica/commands.ts";
import { createReplica, type Replica } from "../replica/replica.ts";
import { encodeContent } from "../replica/snapshot-codec.ts";
import type { OpenedStorage } from "../storage/open-storage.ts";
import { type Applier, createApplier } from "./applier.ts";
import { type CommitNews, createCommitNews } from "./commit-news.ts";
import { createDiskWriter, type DiskWriter } from "./disk-writer.ts";
import type { NodeEventSink } from "./events.ts";
import { leaseClock, type NodeExperiment, type NodeObserver } from "./experiment.ts";
import { createHandover, type Handover } from "./handover.ts";
import { createLease, type Lease } from "./lease.ts";
import { createPeers, type Peers } from "./peers.ts";
import { createProposals, type Proposals } from "./proposals.ts";
import { createQuorumWatch, type QuorumWatch } from "./quorum-watch.ts";
import { createReads, type Reads } from "./reads.ts";
import { createSessionWatch, type SessionWatch } from "./sessions.ts";
import { createSnapshots, defaultSnapshotPolicy, type SnapshotPolicy, type Snapshots } from "./snapshots.ts";
import { startTicker } from "./ticker.ts";
import { type Durations, defaultTiming, durationsOf, type NodeTiming, ticksOf } from "./timing.ts";
import type { Transport } from "./transport.ts";
import { createVoteDelay, type VoteDelay } from "./vote-delay.ts";

export interface NodeOptions {
  readonly opened: OpenedStorage;
  readonly transport: Transport;
  readonly runtime: Runtime;
  readonly crc32c: Crc32c;
  readonly onEvent: NodeEventSink;
  readonly timing?: NodeTiming;
  readonly limits?: Partial<Limits>;
  readonly snapshots?: SnapshotPolicy;
  readonly experiment?: NodeExperiment | undefined;
  /** Makes the cluster durable that a member to be was added to. */
  readonly joinCluster: (clusterId: string) => void;
  /** Makes durable that no node may start from the directory any more, and why. Rejects with DiskError. */
  readonly condemn: (why: string) => Promise<void>;
}

/** The candidate of this process, as its node sees it. */
export interface LocalCandidate {
  standing(): CandidateStanding;
  /** Whether the session is the one that the candidate has now. */
  isLive(session: string): boolean;
  /** The right to claim came or went. `before`: it went, and this was its term. */
  onLease(before: number | undefined): void;
  onFailed(message: string): void;
}

/** A node that runs, to those who build upon it. */
export interface RaftNode {
  readonly id: NodeId;
  readonly raft: Raft;
  readonly replica: Replica;
  readonly applier: Applier;
  readonly proposals: Proposals;
  readonly reads: Reads;
  readonly lease: Lease;
  readonly snapshots: Snapshots;
  readonly transport: Transport;
  readonly peers: Peers;
  readonly runtime: Runtime;
  readonly durations: Durations;
  readonly onEvent: NodeEventSink;
  /** Notified with each tick and whenever something was done. */
  readonly changed: Signal;
  /** Does what is to be done, before it returns. */
  pump(): void;
  /** Why the node takes nothing more. Undefined: it does. */
  failure(): string | undefined;
  /** Who is to lead next, where this node leads and hands over, and that one can. */
  preferHeir(heir: NodeId): void;
  setCandidate(candidate: LocalCandidate | undefined): void;
  /** Stops, and closes transport and storage. A second call waits too. */
  close(): Promise<void>;
}

interface State {
  readonly options: NodeOptions;
  readonly node: RaftNode;
  readonly writer: DiskWriter;
  readonly news: CommitNews;
  readonly sessions: SessionWatch;
  readonly handover: Handover;
  readonly quorum: QuorumWatch;
  readonly voteDelay: VoteDelay;
  /** Sessions whose end is proposed. */
  readonly ending: Set<string>;
  readonly observer: NodeObserver | undefined;
  candidate: LocalCandidate | undefined;
  failure: string | undefined;
  stopTicker: () => void;
  isPumping: boolean;
  closed: Promise<void> | undefined;
}

/** Starts a node. Throws StartError where no node may start from what is on its disk. */
export function startNode(options: NodeOptions): RaftNode {
  const parts = createParts(options);
  const { raft, durations } = parts;
  const { runtime, onEvent, opened } = options;
  const hooks: Hooks = {
    pump: () => pump(state),
    fail: (error) => failNode(state, error),
    onLease: (before) => onLease(state, before),
    onSnapshot: (meta) => state.observer?.onSnapshot(meta),
  };
  const node: RaftNode = {
    ...parts,
    lease: leaseOf(parts, options, hooks),
    snapshots: snapshotsOf(parts, options, hooks),
    transport: options.transport,
    runtime,
    onEvent,
    changed: createSignal(),
    pump: hooks.pump,
    failure: () => state.failure,
    preferHeir: (heir) => state.handover.prefer(heir),
    setCandidate(candidate) {
      state.candidate = candidate;
    },
    close() {
      state.closed ??= close(state);
      return state.closed;
    },
  };
  const onFlushed = (token: FlushToken) => {
    state.observer?.onFlushed(token);
    raft.flushed(token);
    pump(state);
  };
  const { clock } = runtime;
  const state: State = {
    options,
    node,
    writer: createDiskWriter({ storage: opened.storage, clock, onEvent, onFlushed, onFailed: hooks.fail }),
    news: createCommitNews(runtime.scheduler, (message) => node.transport.send(parts.peers.of(message.to), message)),
    sessions: createSessionWatch(durations, (session) => state.candidate?.isLive(session) === true),
    handover: createHandover({ clock, durations, replica: parts.replica }),
    quorum: createQuorumWatch({ clock, durations, onEvent }),
    voteDelay: createVoteDelay({ clock, durations, start: opened.start }),
    ending: new Set(),
    observer: options.experiment?.observe?.({
      id: parts.id,
      start: opened.start,
      believes: () => node.lease.term(),
    }),
    candidate: undefined,
    failure: undefined,
    stopTicker: () => {},
    isPumping: false,
    closed: undefined,
  };
  begin(state);
  return node;
}

type Parts = Pick<RaftNode, "id" | "raft" | "replica" | "applier" | "proposals" | "reads" | "peers" | "durations">;

/** What the parts tell the node that is made of them. */
interface Hooks {
  readonly pump: () => void;
  readonly fail: (error: Error) => void;
  readonly onLease: (before: number | undefined) => void;
  readonly onSnapshot: (meta: SnapshotMeta) => void;
}

function createParts({ opened, runtime, crc32c, onEvent, timing, limits, experiment }: NodeOptions): Parts {
  const durations = durationsOf(timing ?? defaultTiming);
  const id = opened.identity.directoryId;
  const raft = createRaft({
    id,
    start: opened.start,
    timing: ticksOf(durations, runtime.random),
    ...(limits === undefined ? {} : { limits }),
    ...(experiment?.guards === undefined ? {} : { guards: experiment.guards }),
  });
  const replica = createReplica();
  const proposals = createProposals();
  const applier = createApplier({ replica, proposals, crc32c, onEvent });
  const peers = createPeers(raft.status().membership);
  return { id, raft, replica, applier, proposals, reads: createReads(runtime), peers, durations };
}

function leaseOf(
  { raft, reads, durations }: Parts,
  { runtime, experiment }: NodeOptions,
  { onLease: onChange }: Hooks,
): Lease {
  const askRound = (onConfirmed: () => void) => {
    reads.ask(raft, (end) => {
      if (end.kind === "confirmed") onConfirmed();
    });
  };
  return createLease({ clock: leaseClock(runtime.clock, experiment?.guards), durations, askRound, onChange });
}

function snapshotsOf(parts: Parts, options: NodeOptions, hooks: Hooks): Snapshots {
  const { opened, transport, runtime, crc32c, onEvent, snapshots: policy = defaultSnapshotPolicy } = options;
  return createSnapshots({
    ...parts,
    storage: opened.storage,
    crc32c,
    clock: runtime.clock,
    policy,
    onEvent,
    send: (chunk) => transport.send(parts.peers.of(chunk.to), chunk),
    onChanged: hooks.pump,
    onSaved: hooks.onSnapshot,
    onFailed: hooks.fail,
  });
}

function begin(state: State): void {
  const { options, node } = state;
  const { opened, onEvent, runtime } = options;
  const { term, last, membership } = node.raft.status();
  onEvent({ kind: "opened", id: node.id, term, lastIndex: last.index, membership, cutBytes: opened.cutBytes });
  let { clusterId } = opened.identity;
  node.transport.start({
    onMessage: (message) => receive(state, message),
    onSubmit: (command) => proposeFor(state, command),
    onRefused(peer) {
      if (state.sessions.noteRefused(peer)) onEvent({ kind: "peerRefused", peer });
      node.raft.peerRefused(peer);
      pump(state);
    },
    onUnreachable(peer) {
      node.raft.peerUnreachable(peer);
      pump(state);
    },
    clusterId: () => clusterId,
    joinCluster(joined) {
      clusterId = joined;
      options.joinCluster(joined);
    },
  });
  state.stopTicker = startTicker({ runtime, durations: node.durations, onEvent, onTick: () => tick(state) });
  pump(state);
}

function receive(state: State, message: Message): void {
  if (state.failure !== undefined || state.closed !== undefined) return;
  state.sessions.noteHeard(message.from);
  // Of members alone: anybody else may have any number of names.
  if (state.node.peers.of(message.from).address !== undefined) state.quorum.noteHeard(message.from);
  if (state.voteDelay.covers(message)) return;
  state.node.raft.step(message);
  pump(state);
}

/** A command of another node, if this one leads. Rejects with MalformedBytesError for what no member could carry out. */
async function proposeFor(state: State, command: Uint8Array) {
  const { node } = state;
  if (state.failure !== undefined || state.closed !== undefined) return { kind: "notLeader" } as const;
  checkCommand(command);
  const outcome = node.raft.propose(command);
  if (outcome.kind === "refused") return { kind: "notLeader" } as const;
  const end = node.proposals.wait(outcome.position);
  pump(state);
  const answer = await end;
  return answer.kind === "dropped" ? ({ kind: "notLeader" } as const) : answer;
}

function tick(state: State): void {
  if (state.failure !== undefined) return;
  const { node } = state;
  node.raft.tick();
  pump(state);
  const status = node.raft.status();
  state.quorum.tick(status);
  if (node.lease.term() !== undefined) lead(state, status);
  node.snapshots.consider();
  node.changed.notify();
}

/** What a leader does beside replicating: ends sessions, and hands over where it should. */
function lead(state: State, status: RaftStatus): void {
  const { node, candidate } = state;
  for (const session of state.sessions.overdue(status, node.replica.sessions())) {
    if (state.ending.has(session)) continue;
    if (propose(state, { kind: "endSession", session })) state.ending.add(session);
  }
  for (const session of state.ending) if (!node.replica.sessions().has(session)) state.ending.delete(session);
  const due = state.handover.due(status, candidate?.standing() ?? "outside");
  if (due !== undefined && node.raft.transferLeadership(due.to).kind === "started") {
    node.onEvent({ kind: "handingOver", ...due });
  }
  pump(state);
}

function propose({ node }: State, command: Command): boolean {
  return node.raft.propose(encodeCommand(command)).kind === "accepted";
}

function pump(state: State): void {
  if (state.isPumping || state.failure !== undefined) return;
  state.isPumping = true;
  try {
    for (let ready = nextReady(state); ready !== undefined; ready = nextReady(state)) handle(state, ready);
  } catch (error) {
    if (!(error instanceof MalformedBytesError)) throw error;
    failNode(state, error);
  } finally {
    state.isPumping = false;
  }
  state.node.changed.notify();
}

/** What is to be done next. When nothing is, the lease is looked at, which may ask for a round. */
function nextReady(state: State): Ready | undefined {
  if (state.failure !== undefined) return undefined;
  const { raft, lease } = state.node;
  const ready = raft.ready();
  if (ready !== undefined) return ready;
  const { role, term } = raft.status();
  lease.tick(role === "leader" ? term : undefined);
  if (role !== "leader") leadNoMore(state);
  return raft.ready();
}

function handle(state: State, ready: Ready): void {
  const { node, writer, observer } = state;
  observer?.onReady(ready);
  for (const event of ready.events) {
    if (event.kind === "membershipChanged") node.peers.learn(event.membership);
    node.onEvent({ kind: "raft", event });
    if (event.kind === "entriesLost") return detached(loseEntries(state, event));
  }
  for (const message of ready.messages) state.news.send(message);
  for (const order of ready.snapshotChunks) node.snapshots.sendPiece(order);
  if (ready.write !== undefined) writer.add(ready.write);
  if (ready.restore !== undefined) restore(state, ready.restore.index, ready.restore.sizeBytes);
  for (const entry of ready.committed) {
    node.applier.apply(entry);
    observer?.onApplied(entry.index, () => digestOf(state));
  }
  for (const read of ready.reads) node.reads.settle(read);
}

function digestOf({ node, options: { crc32c } }: State): number {
  return crc32c(encodeContent(node.replica.content(), crc32c));
}

function restore(state: State, index: RaftStatus["committed"], bytes: number): void {
  const found = state.options.opened.storage.takeState(index);
  if (found === undefined) throw new Error(`Broken invariant: the state of the snapshot at ${index} is there`);
  state.node.applier.restore(index, found);
  state.observer?.onApplied(index, () => digestOf(state));
  state.node.onEvent({ kind: "snapshotLoaded", index, bytes });
}

function leadNoMore(state: State): void {
  state.ending.clear();
  const { proposals, raft } = state.node;
  proposals.lose("the leadership was lost over it", raft.status().committed);
}

function onLease(state: State, before: number | undefined): void {
  const { node, candidate } = state;
  const term = node.lease.term();
  if (before !== undefined) {
    const cause = node.raft.status().role === "leader" ? "unconfirmed" : "deposed";
    node.onEvent({ kind: "leaseEnded", term: before, cause });
    // Nobody who waits for an answer is left waiting for a majority that may not come back.
    node.proposals.lose("no majority confirmed this leader in time", node.raft.status().committed);
  } else if (term !== undefined) {
    state.observer?.onLeaseBegun(term);
    node.onEvent({ kind: "leaseBegun", term });
  }
  candidate?.onLease(before);
}

/**
 * The node ends, and none starts from the directory again: another leader would not know what it had, and fill it. The
 * protocol takes nothing up meanwhile.
 */
async function loseEntries(state: State, { known, last }: RaftEvent & { readonly kind: "entriesLost" }): Promise<void> {
  const why = `entries up to ${known} had been flushed here, and the log ends at ${last}: the directory was restored from an older copy, or its disk lost what it had written. Replace this member by one with an empty directory`;
  try {
    await state.options.condemn(why);
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
  }
  endNode(state, `DAMAGED: ${why}`);
}

function failNode(state: State, error: Error): void {
  endNode(state, error instanceof DiskError || error instanceof MalformedBytesError ? error.message : String(error));
}

function endNode(state: State, why: string): void {
  if (state.failure !== undefined) return;
  state.failure = why;
  const { node, candidate } = state;
  state.stopTicker();
  node.onEvent({ kind: "storageFailed", message: state.failure });
  node.proposals.fail(state.failure);
  candidate?.onFailed(state.failure);
  node.changed.notify();
}

async function close(state: State): Promise<void> {
  const { node, writer, options } = state;
  state.stopTicker();
  state.news.stop();
  state.failure ??= "the node was closed";
  node.proposals.fail("the node was closed");
  node.changed.notify();
  await node.transport.close();
  await writer.stop();
  await node.snapshots.stop();
  await options.opened.storage.close();
}
