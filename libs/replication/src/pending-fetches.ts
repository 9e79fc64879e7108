import type { BrokerId, Offset } from "@tidemark/ids";
import type { RequestId } from "./outputs.ts";
import type { FetchSession } from "./replica-messages.ts";

/** A fetch that found nothing to read yet. */
export interface PendingFetch {
  readonly requestId: RequestId;
  readonly offset: Offset;
  readonly deadlineMs: number;
}

export interface PendingReplicaFetch extends PendingFetch {
  readonly replica: BrokerId;
  readonly session: FetchSession;
}

/** Fetches that wait for an offset to come: consumers for the high watermark, followers for the log end. */
export interface PendingFetches<Fetch extends PendingFetch> {
  readonly size: number;
  add(fetch: Fetch): void;
  /** Takes those that ask below `end`, in the order in which they came. */
  takeBelow(end: Offset): readonly Fetch[];
  takeExpired(nowMs: number): readonly Fetch[];
  takeWhere(matches: (fetch: Fetch) => boolean): readonly Fetch[];
  takeAll(): readonly Fetch[];
}

export function createPendingFetches<Fetch extends PendingFetch>(): PendingFetches<Fetch> {
  let waiting: Fetch[] = [];
  const nothing: readonly Fetch[] = Object.freeze([]);

  const takeWhere = (matches: (fetch: Fetch) => boolean): readonly Fetch[] => {
    // Nearly always all of them are due, or none is: neither case copies anything.
    if (!waiting.some(matches)) return nothing;
    if (waiting.every(matches)) return takeAll();
    const taken = waiting.filter(matches);
    waiting = waiting.filter((fetch) => !matches(fetch));
    return taken;
  };
  const takeAll = () => {
    const all = waiting;
    if (all.length > 0) waiting = [];
    return all;
  };

  return {
    get size() {
      return waiting.length;
    },
    add: (fetch) => {
      waiting.push(fetch);
    },
    takeBelow: (end) => takeWhere((fetch) => fetch.offset < end),
    takeExpired: (nowMs) => takeWhere((fetch) => fetch.deadlineMs <= nowMs),
    takeWhere,
    takeAll,
  };
}
