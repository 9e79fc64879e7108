import { type ReplicaId, replicaName } from "@tidemark/log";
import type { ReplicaFetch } from "@tidemark/replication";
import { type LaneName, nextLane } from "./catch-up.ts";
import { createFetchLane, type FetchLane, type LaneOptions } from "./fetch-lane.ts";
import type { ReadAnswer } from "./read-answer.ts";

/** The way to one leader: its stream for partitions that are in sync or near, and one for those far behind. */
export function createLeaderLink(options: Omit<LaneOptions, "trafficClass" | "onAnswer">): FetchLane {
  const catchingUp = new Set<string>();

  const onAnswer = (id: ReplicaId, { response: { content }, bytes, logEnd }: ReadAnswer) => {
    const name = replicaName(id);
    const lane: LaneName = catchingUp.has(name) ? "catchUp" : "tail";
    const isFar =
      content.kind === "records" &&
      logEnd !== undefined &&
      nextLane(lane, { batches: content.batches, bytes: bytes.length, logEnd }) === "catchUp";
    if (isFar) catchingUp.add(name);
    else catchingUp.delete(name);
  };

  const tail = createFetchLane({ ...options, trafficClass: "replication", onAnswer });
  const catchUp = createFetchLane({ ...options, trafficClass: "catch-up", onAnswer });
  /** A partition stays where its leader goes on by itself, which is soon over. */
  const laneOf = (id: ReplicaId) =>
    catchingUp.size > 0 && catchingUp.has(replicaName(id)) && !tail.goesOn(id) ? catchUp : tail;

  return {
    fetch: (id: ReplicaId, fetch: ReplicaFetch) => laneOf(id).fetch(id, fetch),
    flushed: (id, report, fetchedIn) => laneOf(id).flushed(id, report, fetchedIn),
    goesOn: (id) => tail.goesOn(id),
    endpointChanged() {
      tail.endpointChanged();
      catchUp.endpointChanged();
    },
    stop() {
      tail.stop();
      catchUp.stop();
    },
  };
}
