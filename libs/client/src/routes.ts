import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";

/** Where the requests for each partition go: to the bootstrap endpoint until an answer names the leader's own. */
export interface Routes {
  /** host:port. */
  endpointOf(topic: string, partition: number): string;
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
  /** The newest one that a hint named. */
  readonly leaderEpoch: number;
}

export function createRoutes(bootstrap: string): Routes {
  const learned = new Map<string, Route>();
  const keyOf = (topic: string, partition: number) => `${partition} ${topic}`;
  return {
    endpointOf: (topic, partition) => learned.get(keyOf(topic, partition))?.endpoint ?? bootstrap,
    heed({ topic, partition }, endpoint, error) {
      if (!(error instanceof TidemarkError)) return;
      const key = keyOf(topic, partition);
      const known = learned.get(key);
      const { leader } = error.fields;
      if (leader !== undefined && leader.endpoint !== "") {
        if (known !== undefined && leader.leaderEpoch < known.leaderEpoch) return;
        learned.set(key, { endpoint: leader.endpoint, leaderEpoch: leader.leaderEpoch });
        return;
      }
      if (known?.endpoint === endpoint && leavesEndpoint.has(error.reason)) {
        learned.set(key, { endpoint: undefined, leaderEpoch: known.leaderEpoch });
      }
    },
  };
}

const leavesEndpoint: ReadonlySet<Reason> = new Set([
  Reason.UNAVAILABLE,
  Reason.DEADLINE_EXCEEDED,
  Reason.SHUTTING_DOWN,
  Reason.NOT_LEADER,
  Reason.LEADER_NOT_AVAILABLE,
  Reason.UNKNOWN_TOPIC,
  Reason.UNKNOWN_PARTITION,
]);
