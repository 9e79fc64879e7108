/**
 * The writes of a replica, in the order in which its machine asks for them. The machine's book moves when a write is
 * ordered; here the log follows. Only a cut takes time: what is ordered behind it waits.
 *
 * 1. A cut begins when everything below it is written, since the log drops what it has not written yet.
 * 2. A flush counts under the generation that was in force when it began: that of the last cut that the log was told of.
 *    The log itself tells of no flush that began before a cut (L9).
 */
import type { LeaderEpoch, Offset } from "@tidemark/ids";
import type { CutOptions } from "@tidemark/log";
import type { FlushGeneration } from "@tidemark/replication";
import { breakOff, giveInput } from "./give-input.ts";
import type { ReplicaState } from "./replica-state.ts";

export interface Writes {
  readonly queue: Write[];
  isCutting: boolean;
  generation: FlushGeneration;
  /** Where the log is to begin once its high watermark is there. Undefined: where it begins. */
  logStart: Offset | undefined;
}

export type Write =
  | {
      readonly kind: "append";
      readonly bytes: Uint8Array;
      /** Whether followers and consumers will soon ask for them, and nobody changes them. */
      readonly mayKeep: boolean;
      /** Called when they are written, or thrown away. */
      readonly release?: () => void;
    }
  | { readonly kind: "epochStart"; readonly leaderEpoch: LeaderEpoch }
  | { readonly kind: "truncate"; readonly cut: Offset; readonly generation: FlushGeneration }
  | { readonly kind: "restart"; readonly offset: Offset; readonly generation: FlushGeneration };

export function createWrites(): Writes {
  return { queue: [], isCutting: false, generation: 0 as FlushGeneration, logStart: undefined };
}

/** Writes now, or behind the cut that is under way. */
export function write(replica: ReplicaState, next: Write): void {
  const { queue, isCutting } = replica.writes;
  if (isCutting || queue.length > 0 || !perform(replica, next)) queue.push(next);
}

/** Goes on with what waits: a cut has ended, or more is written. */
export function resumeWrites(replica: ReplicaState): void {
  const { writes } = replica;
  for (let next = writes.queue[0]; next !== undefined && !writes.isCutting; next = writes.queue[0]) {
    if (!perform(replica, next)) return;
    writes.queue.shift();
  }
}

/** Whether the log is behind the machine's book by more than what it was handed. */
export function isBehind({ writes }: ReplicaState): boolean {
  return writes.isCutting || writes.queue.length > 0;
}

/**
 * Moves the log start as far as what is committed here allows. A follower may hear of a log start that lies above what
 * it has flushed; until it has, the records below only stay a little longer.
 */
export function moveLogStart(replica: ReplicaState, logStart: Offset): void {
  const { writes } = replica;
  if (writes.logStart === undefined || logStart > writes.logStart) writes.logStart = logStart;
  advanceLogStart(replica);
}

export function advanceLogStart(replica: ReplicaState): void {
  const { writes, log } = replica;
  const wanted = writes.logStart;
  if (wanted === undefined || isBehind(replica)) return;
  if (wanted > log.logStartOffset && wanted > log.highWatermark) return;
  writes.logStart = undefined;
  if (wanted <= log.logStartOffset) return;
  log.moveLogStart(wanted).catch((error: unknown) => {
    failLog(replica, error);
  });
}

/** False where it has to wait. */
function perform(replica: ReplicaState, next: Write): boolean {
  const { log } = replica;
  if (replica.isOver) {
    discard(next);
    return true;
  }
  switch (next.kind) {
    case "append":
      append(replica, next);
      return true;
    case "epochStart":
      attempt(replica, () => {
        log.beginEpoch(next.leaderEpoch);
      });
      return true;
    case "truncate":
      if (log.writtenOffset < next.cut && log.writtenOffset < log.logEndOffset) return false;
      cut(replica, next.generation, () => truncate(replica, next.cut));
      return true;
    case "restart":
      cut(replica, next.generation, () => log.startAnewAt(next.offset, cutOptions(replica)));
      return true;
  }
}

function append(replica: ReplicaState, { bytes, mayKeep, release }: Write & { readonly kind: "append" }): void {
  try {
    // What a leader stamps follows its log's end; what a follower copies has the gaps of its leader's compaction.
    const { nextOffset } = replica.log.append(bytes, { gaps: true, mayKeep });
    if (release !== undefined) replica.unwritten.push({ upTo: nextOffset, release });
  } catch (error) {
    release?.();
    failLog(replica, error);
  }
}

/** Gives back what is written now. `isOver`: the rest was thrown away. */
export function releaseWritten(replica: ReplicaState, isOver: boolean): void {
  const { unwritten, log } = replica;
  if (unwritten.length === 0) return;
  const kept = isOver ? -1 : unwritten.findIndex(({ upTo }) => upTo > log.writtenOffset);
  for (const { release } of unwritten.splice(0, kept === -1 ? unwritten.length : kept)) release();
}

/** Nothing more is written: what waits is thrown away, also what waits for a cut that is under way. */
export function throwAwayWrites(replica: ReplicaState): void {
  for (const waiting of replica.writes.queue.splice(0)) discard(waiting);
  releaseWritten(replica, true);
}

function discard(write: Write): void {
  if (write.kind === "append") write.release?.();
}

async function truncate(replica: ReplicaState, at: Offset): Promise<void> {
  const { log } = replica;
  const end = await log.truncateTo(at, cutOptions(replica));
  if (end !== at) throw new CutShort(`A cut at ${at} left a log that ends at ${end}`);
}

/** There was no room for what stands for a gap right below the cut. */
class CutShort extends Error {}

/** What a receipt waits for must not be forgotten with the process. */
function cutOptions({ shared, id }: ReplicaState): CutOptions {
  return { isNoted: shared.isReceiptOpen(id) };
}

function cut(replica: ReplicaState, generation: FlushGeneration, work: () => Promise<void>): void {
  const { writes } = replica;
  writes.isCutting = true;
  writes.generation = generation;
  // The log drops what it has not written.
  releaseWritten(replica, true);
  work().then(
    () => {
      writes.isCutting = false;
      if (replica.isOver) return;
      const { shared, log } = replica;
      // The sync of a cut reaches what lies below it; no other event tells so.
      giveInput(replica, { kind: "flushed", offset: log.flushedOffset, generation, nowMs: shared.clock.monotonicMs() });
      resumeWrites(replica);
      advanceLogStart(replica);
    },
    (error: unknown) => {
      writes.isCutting = false;
      if (error instanceof CutShort) cutShort(replica, error);
      else failLog(replica, error);
    },
  );
}

/**
 * The log ends below the book. A follower begins anew from there. Who was made leader meanwhile may have proposed who
 * enters the ISR, and must not lead this epoch without knowing: it is told to be offline, and another one leads.
 */
function cutShort(replica: ReplicaState, error: CutShort): void {
  const { shared, id, machine } = replica;
  if (replica.isOver) return;
  if (machine.view(shared.clock.monotonicMs()).role === "leader") breakOff(replica, error);
  else shared.onStuck(id);
}

function attempt(replica: ReplicaState, work: () => void): void {
  try {
    work();
  } catch (error) {
    failLog(replica, error);
  }
}

/** What the book says is written is not: the replica is out of service until it is opened anew (L6). */
export function failLog(replica: ReplicaState, error: unknown): void {
  throwAwayWrites(replica);
  const reason = error instanceof Error ? error.message : String(error);
  giveInput(replica, { kind: "logFailed", reason });
}
