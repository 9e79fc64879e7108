import type { MessageInitShape } from "@bufbuild/protobuf";
import type { LeaderEpoch, Offset } from "@tidemark/ids";
import { type ReplicaId, replicaName } from "@tidemark/log";
import type { PartitionFetchSchema, PartitionFlushedSchema, PartitionHandleSchema } from "@tidemark/proto/replica/v1";
import type { FetchSession, ReplicaFetch, ReplicaFlushed } from "@tidemark/replication";
import { addFetches, type FlushedFetch, noFetches } from "../replica-exchange.ts";
import { type AnswerPieces, createAnswerPieces } from "./answer-pieces.ts";

/** What a message to a leader carries of its partitions. */
export interface PartitionItems {
  readonly partitions: MessageInitShape<typeof PartitionHandleSchema>[];
  readonly fetches: MessageInitShape<typeof PartitionFetchSchema>[];
  readonly flushed: MessageInitShape<typeof PartitionFlushedSchema>[];
}

/** Fetches and reports of one message at most, so that it stays far below what a leader takes. */
const itemsMax = 4096;

/** What a leader answers next without being asked. */
export interface GoesOn {
  readonly session: FetchSession;
  readonly leaderEpoch: LeaderEpoch;
  readonly from: Offset;
}

/** A partition on one lane. */
export interface LanePartition {
  readonly id: ReplicaId;
  readonly pieces: AnswerPieces;
  /** Its number in the stream, once the leader was told. */
  handle: number | undefined;
  /** The newest fetch, until it is answered. */
  fetch: ReplicaFetch | undefined;
  /** True while `fetch` has not been sent. */
  isFetchDue: boolean;
  /** True while `fetch` is not to be sent, since too much of the partition is not written. */
  isHeldBack: boolean;
  /** How the leader goes on by itself with a fetch that stands. Undefined: it does not. */
  goesOn: GoesOn | undefined;
  /** Bytes that came and are not written yet. */
  unwritten: number;
  /** The newest report that has not been sent. */
  report: ReplicaFlushed | undefined;
  /** The recorded fetches that the report is about. */
  fetchedIn: readonly FlushedFetch[];
}

/**
 * The partitions of one stream, and what is to be said of them next. For each there is one fetch and one report at
 * most, the newest: so it stays small, however long the stream takes nothing.
 */
export interface LanePartitions {
  fetch(id: ReplicaId, fetch: ReplicaFetch): void;
  flushed(id: ReplicaId, report: ReplicaFlushed, fetchedIn?: readonly FlushedFetch[]): void;
  /** Bytes of a partition came: beyond the limit its next fetch waits. */
  hold(partition: LanePartition, bytes: number): void;
  /** Bytes of a partition were written. */
  letGo(partition: LanePartition, bytes: number): void;
  /** By the number that the leader answers with. */
  byHandle(handle: number): LanePartition | undefined;
  /** Whether the leader goes on with a fetch of the partition by itself. */
  goesOn(id: ReplicaId): boolean;
  /** Something is to be said. */
  readonly hasItems: boolean;
  /** Something is to be asked. */
  readonly hasFetches: boolean;
  /** What is to be said, up to the size of one message; it counts as said. */
  takeItems(): PartitionItems;
  /** How many fetches have no answer. */
  openFetches(): number;
  /** Forgets every partition: the stream is gone. Returns those whose fetches have no answer. */
  forgetAll(): readonly { readonly id: ReplicaId; readonly fetch: ReplicaFetch }[];
}

export function createLanePartitions({
  unwrittenBytes,
  standsForBytes,
}: {
  /** How many bytes of a partition may be unwritten when it is fetched. */
  readonly unwrittenBytes: number;
  /** For how many bytes a fetch stands, less what is unwritten. 0: it has one answer. */
  readonly standsForBytes: number;
}): LanePartitions {
  const partitions = new Map<string, LanePartition>();
  const handles: LanePartition[] = [];
  let due: LanePartition[] = [];
  let reports: LanePartition[] = [];

  const partitionOf = (id: ReplicaId): LanePartition => {
    const name = replicaName(id);
    const known = partitions.get(name);
    if (known !== undefined) return known;
    const made: LanePartition = {
      id,
      pieces: createAnswerPieces(),
      handle: undefined,
      fetch: undefined,
      isFetchDue: false,
      isHeldBack: false,
      goesOn: undefined,
      unwritten: 0,
      report: undefined,
      fetchedIn: noFetches,
    };
    partitions.set(name, made);
    return made;
  };

  return {
    fetch(id, fetch) {
      const partition = partitionOf(id);
      partition.fetch = fetch;
      if (partition.isFetchDue || isAnsweredUnasked(partition.goesOn, fetch)) return;
      partition.goesOn = undefined;
      partition.isFetchDue = true;
      partition.isHeldBack = partition.unwritten > unwrittenBytes;
      if (!partition.isHeldBack) due.push(partition);
    },
    flushed(id, report, fetchedIn = noFetches) {
      const partition = partitionOf(id);
      if (partition.report === undefined) reports.push(partition);
      // A cut begins a session: what was fetched before it may be gone.
      const unsaid = partition.report?.session === report.session ? partition.fetchedIn : noFetches;
      partition.report = report;
      partition.fetchedIn = addFetches(unsaid, fetchedIn);
    },
    hold(partition, bytes) {
      partition.unwritten += bytes;
    },
    letGo(partition, bytes) {
      partition.unwritten -= bytes;
      if (!partition.isHeldBack || partition.unwritten > unwrittenBytes) return;
      partition.isHeldBack = false;
      due.push(partition);
    },
    byHandle: (handle) => handles[handle],
    goesOn: (id) => partitions.get(replicaName(id))?.goesOn !== undefined,
    get hasItems() {
      return due.length + reports.length > 0;
    },
    get hasFetches() {
      return due.length > 0;
    },
    takeItems() {
      const items: PartitionItems = { partitions: [], fetches: [], flushed: [] };
      const handleOf = (partition: LanePartition): number => {
        if (partition.handle === undefined) {
          partition.handle = handles.push(partition) - 1;
          items.partitions.push(partition.id);
        }
        return partition.handle;
      };
      for (const partition of due.slice(0, itemsMax)) {
        partition.isFetchDue = false;
        if (partition.fetch === undefined) continue;
        const standsFor = Math.max(0, standsForBytes - partition.unwritten);
        items.fetches.push(wireFetch(handleOf(partition), partition.fetch, standsFor));
      }
      for (const partition of reports.slice(0, itemsMax)) {
        const { report, fetchedIn } = partition;
        partition.report = undefined;
        partition.fetchedIn = noFetches;
        if (report !== undefined) items.flushed.push(wireFlushed(handleOf(partition), report, fetchedIn));
      }
      due = due.slice(itemsMax);
      reports = reports.slice(itemsMax);
      return items;
    },
    openFetches: () => [...partitions.values()].filter((partition) => partition.fetch !== undefined).length,
    forgetAll() {
      const open = [...partitions.values()].flatMap(({ id, fetch }) => (fetch === undefined ? [] : [{ id, fetch }]));
      // Bytes that are written later are let go of what is no longer known here.
      for (const partition of partitions.values()) partition.isHeldBack = false;
      partitions.clear();
      handles.length = 0;
      due = [];
      reports = [];
      return open;
    },
  };
}

function isAnsweredUnasked(goesOn: GoesOn | undefined, fetch: ReplicaFetch): boolean {
  if (goesOn === undefined) return false;
  const { session, leaderEpoch, fetchOffset } = fetch;
  return goesOn.from === fetchOffset && goesOn.session === session && goesOn.leaderEpoch === leaderEpoch;
}

function wireFetch(handle: number, fetch: ReplicaFetch, standsForBytes: number): PartitionItems["fetches"][number] {
  const { brokerEpoch, leaderEpoch, session, fetchOffset, fetched, flushed, lastFetchedEpoch } = fetch;
  return {
    handle,
    brokerEpoch,
    leaderEpoch,
    session,
    fetchOffset,
    fetched,
    flushed,
    standsForBytes,
    ...(lastFetchedEpoch < 0 ? {} : { lastFetchedEpoch }),
  };
}

function wireFlushed(
  handle: number,
  report: ReplicaFlushed,
  fetchedIn: readonly FlushedFetch[],
): PartitionItems["flushed"][number] {
  const { brokerEpoch, leaderEpoch, session, flushed, position } = report;
  const traced = fetchedIn.length === 0 ? {} : { fetches: [...fetchedIn] };
  const said = { handle, brokerEpoch, leaderEpoch, session, flushed, ...traced };
  if (position === undefined) return said;
  const { fetched, lastFetchedEpoch } = position;
  return { ...said, fetched, ...(lastFetchedEpoch < 0 ? {} : { lastFetchedEpoch }) };
}
