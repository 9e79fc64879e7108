/**
 * What a driver has to do for its node.
 *
 * 1. Messages may leave at once, in any order with the writing: what has to wait for a flush is held back inside.
 * 2. Writes happen in the order in which they are handed out, and within one in the order of its fields.
 * 3. A flush is acknowledged when it, and all before it, are on stable storage. Further `ready()` calls need not wait.
 * 4. Committed entries are applied in order. They are flushed here already.
 */
import type { Entry } from "./entry.ts";
import type { RaftEvent } from "./events.ts";
import type { LogIndex, Position } from "./ids.ts";
import { hasUnflushed, type Machine, type ReadOutcome } from "./machine.ts";
import type { Message, SnapshotChunk, SnapshotChunkOrder } from "./messages.ts";
import { confirmReads } from "./read-index.ts";
import { replicateAll, sendHeartbeats } from "./replication.ts";
import type { HardState, SnapshotMeta } from "./start-state.ts";

/** Names one write, to acknowledge its flush by. */
export interface FlushToken {
  /** Grows by 1. */
  readonly write: number;
  /** Where the log ended when it was handed out. */
  readonly last: Position;
}

export interface Write {
  readonly token: FlushToken;
  /** Where it has a file of its own, it is flushed before anything else of this write is begun. */
  readonly hardState: HardState | undefined;
  /**
   * Pieces of a snapshot from the leader. Offset 0 begins a file; the piece that ends at `sizeBytes` completes it, and the
   * snapshot then replaces the whole log, in one step that a crash does not divide.
   */
  readonly snapshotChunks: readonly SnapshotChunk[];
  /** To be written at the index of the first one, in place of everything that stood there or behind it. */
  readonly entries: readonly Entry[];
  /** Entries up to here may be deleted: a flushed snapshot holds them. */
  readonly compactThrough: LogIndex | undefined;
  /** Whether anything waits for the flush. If not, the flush of a later write will do, and is acknowledged with it. */
  readonly mustFlush: boolean;
}

export interface Ready {
  readonly write: Write | undefined;
  readonly messages: readonly Message[];
  /** To be sent with their bytes. When the snapshot is gone: `snapshotGone`. */
  readonly snapshotChunks: readonly SnapshotChunkOrder[];
  /** Load this snapshot before anything is applied. */
  readonly restore: SnapshotMeta | undefined;
  readonly committed: readonly Entry[];
  readonly reads: readonly ReadOutcome[];
  readonly events: readonly RaftEvent[];
}

/** Collects what is to be done. Undefined when there is nothing. */
export function collectReady(machine: Machine): Ready | undefined {
  const { role, log, out } = machine;
  if (role.kind === "leader") {
    replicateAll(machine, role);
    if (role.roundDue) {
      role.roundDue = false;
      role.round++;
      sendHeartbeats(machine, role);
      confirmReads(machine, role);
    }
  }
  const ready: Ready = {
    write: takeWrite(machine),
    messages: out.messages,
    snapshotChunks: out.chunkOrders,
    restore: log.takeRestore(),
    committed: log.takeCommitted(machine.limits.applyBytesMax),
    reads: out.reads,
    events: out.events,
  };
  if (isEmpty(ready)) return undefined;
  out.messages = [];
  out.chunkOrders = [];
  out.reads = [];
  out.events = [];
  return ready;
}

function isEmpty(ready: Ready): boolean {
  return (
    ready.write === undefined &&
    ready.restore === undefined &&
    ready.messages.length === 0 &&
    ready.snapshotChunks.length === 0 &&
    ready.committed.length === 0 &&
    ready.reads.length === 0 &&
    ready.events.length === 0
  );
}

function takeWrite(machine: Machine): Write | undefined {
  const { flushes, log, out } = machine;
  if (!hasUnflushed(machine) && out.receivedChunks.length === 0 && out.compactThrough === undefined) return undefined;
  const mustFlush = hasUnflushed(machine);
  const write = flushes.next++;
  if (mustFlush) flushes.newestDue = write;
  const entries = log.takeUnwritten(write);
  const { index, term } = log.last();
  const taken: Write = {
    token: { write, last: { index, term } },
    hardState: flushes.hardStateDirty ? hardStateOf(machine) : undefined,
    snapshotChunks: out.receivedChunks,
    entries,
    compactThrough: out.compactThrough,
    mustFlush,
  };
  flushes.hardStateDirty = false;
  out.receivedChunks = [];
  out.compactThrough = undefined;
  return taken;
}

function hardStateOf(machine: Machine): HardState {
  return { term: machine.term, votedFor: machine.guards.persistVote ? machine.votedFor : undefined };
}
