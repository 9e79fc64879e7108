import type { Offset } from "@tidemark/ids";
import type { RequestId } from "./outputs.ts";

/** A produce that was appended and waits for its answer (R4). */
export interface PendingAck {
  readonly requestId: RequestId;
  readonly baseOffset: Offset;
  readonly endOffset: Offset;
  readonly deadlineMs: number;
  /** It is in the log, at offsets that are not known: up to `endOffset` there are only some that come later (R11). */
  readonly isApplied?: boolean;
}

/**
 * Acks in the order of their offsets, which is the order in which they are due. One queue waits for the high watermark
 * (acks=all), another for the leader's own flush (acks=leader).
 */
export interface PendingAcks {
  readonly size: number;
  /** Appends arrive in order; a repeat (R11) may belong further ahead. */
  add(ack: PendingAck): void;
  /** Takes what ends at or below `offset`, in order. */
  takeUpTo(offset: Offset): readonly PendingAck[];
  /** Takes what is past its deadline. */
  takeExpired(nowMs: number): readonly PendingAck[];
  /** Takes what ends above `offset`, in order. */
  takeAbove(offset: Offset): readonly PendingAck[];
  takeAll(): readonly PendingAck[];
  cancel(requestId: RequestId): void;
}

const none: readonly PendingAck[] = Object.freeze([]);

export function createPendingAcks(): PendingAcks {
  let queue: PendingAck[] = [];
  /** No ack expires before: spares the walk through the queue at nearly every tick. */
  let earliestDeadlineMs = Number.POSITIVE_INFINITY;

  return {
    get size() {
      return queue.length;
    },
    add(ack) {
      if (ack.deadlineMs < earliestDeadlineMs) earliestDeadlineMs = ack.deadlineMs;
      let index = queue.length;
      while (index > 0 && (queue[index - 1]?.endOffset ?? 0n) > ack.endOffset) index--;
      if (index === queue.length) queue.push(ack);
      else queue.splice(index, 0, ack);
    },
    takeUpTo(offset) {
      let due = 0;
      while (due < queue.length && (queue[due]?.endOffset ?? 0n) <= offset) due++;
      if (due === 0) return none;
      return queue.splice(0, due);
    },
    takeExpired(nowMs) {
      if (nowMs < earliestDeadlineMs) return none;
      const expired = queue.filter((ack) => ack.deadlineMs <= nowMs);
      queue = queue.filter((ack) => ack.deadlineMs > nowMs);
      earliestDeadlineMs = queue.reduce((least, ack) => Math.min(least, ack.deadlineMs), Number.POSITIVE_INFINITY);
      return expired;
    },
    takeAbove(offset) {
      const kept = queue.findIndex((ack) => ack.endOffset > offset);
      return kept === -1 ? none : queue.splice(kept);
    },
    takeAll() {
      const all = queue;
      queue = [];
      return all;
    },
    cancel(requestId) {
      const index = queue.findIndex((ack) => ack.requestId === requestId);
      if (index >= 0) queue.splice(index, 1);
    },
  };
}
