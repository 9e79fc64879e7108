import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import type { Reach } from "./reach.ts";

/** Where a partition's leader is, as somebody told it. */
export interface KnownLeader {
  /** host:port of its `client` listener. */
  readonly endpoint: string;
  readonly leaderEpoch: number;
}

/**
 * Where the requests for each partition go: to its leader where that is known and can be reached from here, else to the
 * bootstrap endpoint, which is a gateway that passes them on or a broker that says who leads.
 */
export interface Routes {
  /** host:port. */
  endpointOf(topic: string, partition: number): string;
  /** The newest leader that was told. Undefined: none was, or its endpoint was left for the bootstrap endpoint. */
  leaderOf(topic: string, partition: number): KnownLeader | undefined;
  /**
   * Takes note of a topic's leaders, by partition, as the controller described them. Of another topic id than before
   * everything that was known is forgotten: leader epochs of two topics under one name say nothing of each other. An empty
   * topic id is of nobody knows which.
   */
  learn(topic: { readonly topic: string; readonly topicId: string }, leaders: ReadonlyMap<number, KnownLeader>): void;
  /**
   * Learns from what a request for the partition to `endpoint` failed with. A hint is followed unless it is of an older
   * leader epoch than one that was followed before, so two brokers that point at each other cause no loop. A learned
   * endpoint that does not answer is left for the bootstrap endpoint.
   */
  heed(place: { readonly topic: string; readonly partition: number }, endpoint: string, error: unknown): void;
}

interface Route {
  /** Undefined: by the bootstrap endpoint. */
  readonly endpoint: string | undefined;
  /** The newest one that was told. */
  readonly leaderEpoch: number;
  /** Whether an answer named it: then it is called at once. Otherwise only when a connection there stands. */
  readonly isHinted: boolean;
}

export function createRoutes(bootstrap: string, reach: Reach): Routes {
  const learned = new Map<string, Route>();
  const topicIds = new Map<string, string>();
  const keyOf = (topic: string, partition: number) => `${partition} ${topic}`;

  const forgetOther = (topic: string, topicId: string) => {
    if (topicId === "" || topicIds.get(topic) === topicId) return;
    if (topicIds.has(topic)) {
      for (const key of [...learned.keys()]) if (key.slice(key.indexOf(" ") + 1) === topic) learned.delete(key);
    }
    topicIds.set(topic, topicId);
  };
  return {
    endpointOf(topic, partition) {
      const route = learned.get(keyOf(topic, partition));
      if (route?.endpoint === undefined) return bootstrap;
      return route.isHinted || reach.isReachable(route.endpoint) ? route.endpoint : bootstrap;
    },
    leaderOf(topic, partition) {
      const route = learned.get(keyOf(topic, partition));
      return route?.endpoint === undefined ? undefined : { endpoint: route.endpoint, leaderEpoch: route.leaderEpoch };
    },
    learn({ topic, topicId }, leaders) {
      forgetOther(topic, topicId);
      for (const [partition, { endpoint, leaderEpoch }] of leaders) {
        const key = keyOf(topic, partition);
        const known = learned.get(key);
        const isNews = known === undefined || leaderEpoch > known.leaderEpoch;
        const isBack = known?.leaderEpoch === leaderEpoch && known.endpoint === undefined;
        if (isNews || isBack) learned.set(key, { endpoint, leaderEpoch, isHinted: false });
        // Connects before there is something to send.
        reach.isReachable(endpoint);
      }
    },
    heed({ topic, partition }, endpoint, error) {
      if (!(error instanceof TidemarkError)) return;
      const key = keyOf(topic, partition);
      const known = learned.get(key);
      const { leader } = error.fields;
      if (leader !== undefined && leader.endpoint !== "") {
        if (known !== undefined && leader.leaderEpoch < known.leaderEpoch) return;
        learned.set(key, { endpoint: leader.endpoint, leaderEpoch: leader.leaderEpoch, isHinted: true });
        return;
      }
      if (known?.endpoint === endpoint && leavesEndpoint.has(error.reason)) {
        learned.set(key, { endpoint: undefined, leaderEpoch: known.leaderEpoch, isHinted: false });
        if (isSilent.has(error.reason)) reach.avoid(endpoint);
      }
    },
  };
}

/** Reasons that speak of the endpoint itself. */
const isSilent: ReadonlySet<Reason> = new Set([Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED, Reason.SHUTTING_DOWN]);

const leavesEndpoint: ReadonlySet<Reason> = new Set([
  ...isSilent,
  Reason.NOT_LEADER,
  Reason.LEADER_NOT_AVAILABLE,
  Reason.UNKNOWN_TOPIC,
  Reason.UNKNOWN_PARTITION,
]);
