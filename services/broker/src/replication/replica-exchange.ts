/**
 * What stands between the partitions of a broker and the streams to other brokers. The partitions drive the machines of
 * @tidemark/replication and know no connection; the streams carry their messages and know no rule.
 *
 * Leader: a stream brings fetches and flush reports to `ReplicaServing` and carries the replies back, by what its
 * follower can take. Follower: `ReplicaFetcher` carries a partition's fetch to its leader, and brings the response to
 * `ReplicaReceiving`.
 */
import type { BrokerId, LeaderEpoch, Offset } from "@tidemark/ids";
import type { ReplicaId } from "@tidemark/log";
import type {
  Divergence,
  ReplicaFetch,
  ReplicaFlushed,
  ReplicaRefusal,
  ReplicaResponse,
  StandingFetch,
} from "@tidemark/replication";
import type { Cancel } from "@tidemark/runtime";

/** The partitions of this broker, as the leader's end of a replica stream sees them. Nothing here throws. */
export interface ReplicaServing {
  /**
   * Hands a follower's fetch to its partition, which replies once: at once, when there are records, or at `deadlineMs`
   * (monotonic). Whoever calls the result wants no reply any more. A partition that is not here is NOT_LEADER.
   */
  fetch(partition: ReplicaId, fetch: ReplicaFetch, deadlineMs: number, reply: (reply: ReplicaReply) => void): Cancel;
  /** The same for a fetch that stands: it was answered, and its stream asks on. */
  goOn(partition: ReplicaId, fetch: StandingFetch, deadlineMs: number, reply: (reply: ReplicaReply) => void): Cancel;
  /** `fetchedIn`: the follower's recorded fetches that brought it, by their end offsets. */
  flushed(partition: ReplicaId, report: ReplicaFlushed, fetchedIn: readonly FlushedFetch[]): void;
}

/** Whole batches that were read for a follower. */
export interface BatchesRead {
  /** Slices of segment bytes, in order. */
  readonly batches: readonly Uint8Array[];
  /** First offset behind them. */
  readonly nextOffset: Offset;
  /**
   * To be called when the answer is handed to the stream, and not where what was read is thrown away: those that are
   * recorded count as sent from then on, and are returned.
   */
  readonly sent: () => readonly ReplicaTrace[];
}

/** A batch that is recorded, as a follower is told of it. */
export interface ReplicaTrace {
  /** W3C trace context of the leader's span for this follower. */
  readonly traceparent: string;
  /** First offset behind the batch. */
  readonly endOffset: Offset;
}

/** A fetch of a follower that is recorded and flushed, as its leader is told of it. */
export interface FlushedFetch {
  /** W3C trace context of the follower's span for it. */
  readonly traceparent: string;
  /** Offset of the first record that it brought. */
  readonly startOffset: Offset;
  /** First offset behind what it brought. */
  readonly endOffset: Offset;
}

/** What one report names at most. */
const fetchesMax = 32;
export const noTraces: readonly ReplicaTrace[] = [];
export const noFetches: readonly FlushedFetch[] = [];

/** Beyond what one report names the oldest are dropped: links are missing then, and nothing else. */
export function addFetches(fetches: readonly FlushedFetch[], more: readonly FlushedFetch[]): readonly FlushedFetch[] {
  if (fetches.length === 0 || more.length === 0) return more.length === 0 ? fetches : more;
  return [...fetches, ...more].slice(-fetchesMax);
}

/** The leader's reply to a fetch, before the bytes of an answer are shared among its partitions. */
export type ReplicaReply =
  | {
      readonly kind: "records";
      readonly highWatermark: Offset;
      readonly logStart: Offset;
      /** The leader's log end when it replied: how far behind the follower is. */
      readonly logEnd: Offset;
      /**
       * Reads whole batches from the fetch's offset on, up to `maxBytes` but always the first one (L8).
       * Rejects where the log fails: the answer is REPLICA_OFFLINE then. Undefined: the fetch waited in vain.
       */
      readonly read: ((maxBytes: number) => Promise<BatchesRead>) | undefined;
    }
  | { readonly kind: "diverging"; readonly divergence: Divergence }
  | { readonly kind: "behindLogStart"; readonly logStart: Offset }
  | { readonly kind: "refused"; readonly reason: ReplicaRefusal; readonly leaderEpoch: LeaderEpoch };

/** Carries the fetches of this broker's followers to their leaders: all that go to one leader share its streams. */
export interface ReplicaFetcher {
  fetch(leader: BrokerId, partition: ReplicaId, fetch: ReplicaFetch): void;
  /** `fetchedIn`: as in `ReplicaServing`. */
  flushed(leader: BrokerId, partition: ReplicaId, report: ReplicaFlushed, fetchedIn?: readonly FlushedFetch[]): void;
}

/** The partitions of this broker, as the follower's end of a replica stream sees them. */
export interface ReplicaReceiving {
  /**
   * The response to the last fetch of a partition. `bytes` holds the batches of `response`, whole, back to back, in a
   * buffer that belongs to the receiver; their checksums were verified. Where the stream broke, the response is the
   * refusal NOT_LEADER: the follower waits a little and asks again. Never called from within `ReplicaFetcher.fetch`.
   *
   * The receiver calls `release` once, when the bytes were written to the log or thrown away, whatever becomes of the
   * partition: a partition of which much is not written yet is not fetched, and a leader gets no credit while that holds
   * of many. So a slow disk holds back its leaders instead of filling the memory. `traces`: the batches among these that
   * are recorded.
   */
  response(
    partition: ReplicaId,
    response: ReplicaResponse,
    bytes: Uint8Array,
    release: () => void,
    traces?: readonly ReplicaTrace[],
  ): void;
}
