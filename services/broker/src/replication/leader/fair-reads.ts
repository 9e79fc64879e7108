/**
 * Reads the records of one stream's answers, as its follower gives credit: the partitions that are ready share it, in
 * turn, and none gets more than its share except for a first batch that is larger.
 */
import type { Offset } from "@tidemark/ids";
import type { StreamLimits } from "../limits.ts";
import { creditMaxBytes } from "../limits.ts";
import type { BatchesRead, ReplicaReply } from "../replica-exchange.ts";
import type { AnswerOutbox } from "./answer-outbox.ts";
import type { NamedPartition, OpenFetch, OpenFetches } from "./open-fetches.ts";

/** A reply that has records. */
export type ReplyWithRecords = Extract<ReplicaReply, { kind: "records" }> & {
  readonly read: NonNullable<Extract<ReplicaReply, { kind: "records" }>["read"]>;
};

export interface FairReads {
  /** The fetch is read for when its turn comes. */
  ready(fetch: OpenFetch, reply: ReplyWithRecords): void;
  grant(bytes: number): void;
  /** Something changed: the outbox has space again. */
  readonly pump: () => void;
  /** Nothing is read any more. */
  stop(): void;
}

/** How a fetch that stands goes on. */
export interface Standing {
  /** Behind what it was answered. */
  readonly fetchOffset: Offset;
  /** Bytes for which it still stands. */
  readonly standsForBytes: number;
}

interface Ready {
  readonly fetch: OpenFetch;
  readonly reply: ReplyWithRecords;
}

/**
 * `onReadFailed` is told why a log could not be read; the follower is answered REPLICA_OFFLINE.
 *
 * What a follower that stops taking costs: the outbox, the reads under way, and a place in `ready` for each partition.
 */
export function createFairReads(options: {
  readonly limits: StreamLimits;
  readonly fetches: OpenFetches;
  readonly outbox: AnswerOutbox;
  readonly onReadFailed: (fetch: OpenFetch, error: unknown) => void;
  /** A fetch was answered and stands: it goes on from there. */
  readonly onStands: (fetch: OpenFetch, next: Standing) => void;
}): FairReads {
  const { limits, fetches, outbox } = options;
  // In the order of their turns. One a partition, so that it stays small whatever a follower asks.
  const ready = new Map<NamedPartition, Ready>();
  /** What the follower takes, less what was sent and what is set aside for reads under way. */
  let credit = 0;
  let reading = 0;
  let isStopped = false;

  const mayRead = () => reading < limits.readsMax && credit > 0 && outbox.bytes < limits.outboxBytes;

  const pump = () => {
    for (const [partition, next] of ready) {
      if (!fetches.isOpen(next.fetch)) ready.delete(partition);
      else if (mayRead()) {
        const share = shareOf(credit, ready.size, limits);
        ready.delete(partition);
        readFor(next, share);
      } else return;
    }
  };

  const readFor = ({ fetch, reply }: Ready, share: number) => {
    reading += 1;
    credit -= share;
    const settle = (read: BatchesRead | undefined) => {
      reading -= 1;
      credit += share;
      if (isStopped) return;
      if (fetches.isOpen(fetch)) answer(fetch, reply, read);
      pump();
    };
    reply.read(share).then(settle, (error: unknown) => {
      options.onReadFailed(fetch, error);
      settle(undefined);
    });
  };

  const answer = (fetch: OpenFetch, reply: ReplyWithRecords, read: BatchesRead | undefined) => {
    fetches.close(fetch);
    if (read === undefined) {
      const { leaderEpoch } = fetch.asked;
      outbox.push(fetch, { kind: "refused", reason: "REPLICA_OFFLINE", leaderEpoch });
      return;
    }
    const bytes = read.batches.reduce((sum, each) => sum + each.length, 0);
    credit -= bytes;
    const standsForBytes = fetch.standsForBytes - bytes;
    const stands = bytes > 0 && standsForBytes > 0;
    outbox.push(fetch, reply, { batches: read.batches, traces: read.sent() }, stands);
    if (stands) options.onStands(fetch, { fetchOffset: read.nextOffset, standsForBytes });
  };

  return {
    ready(fetch, reply) {
      // In the place of an older fetch of the partition, if that had one: asking again does not lose its turn.
      ready.set(fetch.partition, { fetch, reply });
      pump();
    },
    grant(bytes) {
      credit = Math.min(credit + bytes, creditMaxBytes);
      pump();
    },
    pump,
    stop() {
      isStopped = true;
      ready.clear();
      credit = 0;
    },
  };
}

/** Bytes for the next of so many partitions: at least 1. */
function shareOf(credit: number, partitions: number, limits: StreamLimits): number {
  const even = Math.max(Math.floor(credit / partitions), limits.shareBytesMin);
  return Math.min(even, limits.answerBytes, credit);
}
