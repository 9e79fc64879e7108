import type { BrokerId, Offset } from "@tidemark/ids";
import type { LogEvent } from "@tidemark/log";

/** The span of a batch's way to one follower, under way. */
export interface ReplicateSpan {
  /** W3C trace context, for what the follower does. */
  readonly traceparent: string;
  /** The follower's span for the fetch that brought the batch: W3C trace context. */
  link(traceparent: string): void;
  end(endMs: number): void;
}

/** A batch's way to one follower, since it was first sent there. */
export interface ReplicaTimes {
  readonly span: ReplicateSpan;
  /** Its span links to the fetch that brought the batch. */
  isLinked: boolean;
  /** When it was seen to have flushed it. */
  flushedMs: number | undefined;
}

/** Begins the span of a batch's way to a follower. */
export type BeginReplicate = (follower: BrokerId, sentMs: number) => ReplicateSpan;

export type WrittenEvent = Extract<LogEvent, { readonly kind: "written" }>;
export type FlushedEvent = Extract<LogEvent, { readonly kind: "flushed" }>;

/** A batch can be read. The group is that of the write in which it came. */
export interface Written {
  readonly atMs: number;
  readonly group: WrittenEvent["group"];
}

/** A batch is on stable storage. */
export interface Flushed {
  readonly atMs: number;
  /** Of the fdatasync that covered it. Undefined: there was none. */
  readonly syncMs: number | undefined;
}

/**
 * When the steps of one sampled append happened, on the monotonic clock in milliseconds. Filled in on the way and only
 * made where somebody records it.
 */
export interface Timeline {
  appendedMs: number;
  written: Written | undefined;
  flushed: Flushed | undefined;
  readonly replicas: Map<BrokerId, ReplicaTimes>;
  readonly beginReplicate: BeginReplicate;
  /** The step of the high watermark that passed the batch. */
  highWatermark:
    | {
        readonly atMs: number;
        readonly from: Offset;
        readonly to: Offset;
        /** The member whose report came last. */
        readonly last: BrokerId;
        readonly maximalIsr: readonly BrokerId[];
      }
    | undefined;
}

/** A timeline of a batch that is handed over now. */
export function createTimeline(nowMs: number, beginReplicate: BeginReplicate): Timeline {
  return {
    appendedMs: nowMs,
    written: undefined,
    flushed: undefined,
    replicas: new Map(),
    beginReplicate,
    highWatermark: undefined,
  };
}
