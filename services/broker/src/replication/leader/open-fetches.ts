import type { ReplicaId } from "@tidemark/log";
import type { StandingFetch } from "@tidemark/replication";
import type { Cancel } from "@tidemark/runtime";
import { invalidArgument } from "../../errors.ts";
import { partitionsMax } from "../limits.ts";

/** A partition that a follower has named in a stream. */
export interface NamedPartition {
  readonly handle: number;
  readonly id: ReplicaId;
  /** The fetch that has no answer yet; at most one. */
  open: OpenFetch | undefined;
}

/** A fetch that has no answer yet. It is over when its partition has another one, or none. */
export interface OpenFetch {
  readonly partition: NamedPartition;
  readonly asked: StandingFetch;
  /** Bytes of batches for which it still stands. 0: it has one answer. */
  readonly standsForBytes: number;
  /** It stood, and is asked on by this stream. */
  readonly goesOn: boolean;
  hasReplied: boolean;
  /** Tells the partition that no reply is wanted any more. Undefined while there is nothing to tell. */
  cancel: Cancel | undefined;
}

/** The partitions of one stream, by the numbers that its follower gave them. */
export interface OpenFetches {
  /** How many partitions have a number. */
  readonly named: number;
  /** Gives a partition the next number. Throws REASON_INVALID_ARGUMENT where there are too many. */
  name(id: ReplicaId): void;
  /** Throws REASON_INVALID_ARGUMENT for a number that was not given. */
  find(handle: number): NamedPartition;
  /** Opens a fetch in place of the one before it. */
  open(partition: NamedPartition, fetch: Pick<OpenFetch, "asked" | "standsForBytes" | "goesOn">): OpenFetch;
  /** True until the fetch is answered, replaced or cancelled. */
  isOpen(fetch: OpenFetch): boolean;
  close(fetch: OpenFetch): void;
  cancelAll(): void;
}

export function createOpenFetches(): OpenFetches {
  const partitions: NamedPartition[] = [];

  const cancel = (partition: NamedPartition) => {
    const { open } = partition;
    partition.open = undefined;
    if (open?.hasReplied === false) open.cancel?.();
  };

  return {
    get named() {
      return partitions.length;
    },
    name(id) {
      const handle = partitions.length;
      if (handle >= partitionsMax) throw invalidArgument(`A stream names at most ${partitionsMax} partitions`);
      partitions.push({ handle, id, open: undefined });
    },
    find(handle) {
      const found = partitions[handle];
      if (found === undefined) throw invalidArgument(`No partition of the stream has handle ${handle}`);
      return found;
    },
    open(partition, { asked, standsForBytes, goesOn }) {
      cancel(partition);
      const opened: OpenFetch = {
        partition,
        asked,
        standsForBytes,
        goesOn,
        hasReplied: false,
        cancel: undefined,
      };
      partition.open = opened;
      return opened;
    },
    isOpen: (fetch) => fetch.partition.open === fetch,
    close(fetch) {
      if (fetch.partition.open === fetch) fetch.partition.open = undefined;
    },
    cancelAll() {
      for (const partition of partitions) cancel(partition);
    },
  };
}
