import type { BrokerId } from "@tidemark/ids";
import type { ReplicaFetcher } from "../replica-exchange.ts";
import type { FetchLane } from "./fetch-lane.ts";
import { createLeaderLink } from "./leader-link.ts";

/** The ways to all leaders. */
export interface ReplicaFetcherStreams extends ReplicaFetcher {
  /** Metadata were applied: streams to brokers that are elsewhere now, or gone, end. */
  endpointsChanged(): void;
  /** Closes every stream. What has no answer gets none. */
  stop(): void;
}

/** One link for each leader, made when it is first asked. */
export function createReplicaFetcher(
  options: Omit<Parameters<typeof createLeaderLink>[0], "leader">,
): ReplicaFetcherStreams {
  const links = new Map<BrokerId, FetchLane>();

  const linkTo = (leader: BrokerId): FetchLane => {
    const known = links.get(leader);
    if (known !== undefined) return known;
    const made = createLeaderLink({ ...options, leader });
    links.set(leader, made);
    return made;
  };

  return {
    fetch: (leader, partition, fetch) => linkTo(leader).fetch(partition, fetch),
    flushed: (leader, partition, report, fetchedIn) => linkTo(leader).flushed(partition, report, fetchedIn),
    endpointsChanged() {
      for (const link of links.values()) link.endpointChanged();
    },
    stop() {
      for (const link of links.values()) link.stop();
    },
  };
}
