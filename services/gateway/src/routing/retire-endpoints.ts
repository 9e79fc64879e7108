import type { MetadataImage } from "@tidemark/metadata";
import type { ChannelPool } from "@tidemark/rpc";
import type { Cancel, Scheduler } from "@tidemark/runtime";
import { clientEndpoint } from "./route-table.ts";

/** Longer than any call may last: what was sent to an endpoint before it was left is over by then. */
const retireAfterMs = 300_000;

/**
 * Closes the connections to where no broker is any more: brokers move, and a gateway lives long. Ends the pause of those to
 * where one registered anew: what was refused while it was away, up to 2 seconds long, would fail all calls.
 */
export interface EndpointRetirement {
  /** Takes the next metadata. */
  apply(image: MetadataImage): void;
  stop(): void;
}

export function createEndpointRetirement(
  pool: Pick<ChannelPool, "drop" | "endPause">,
  scheduler: Scheduler,
): EndpointRetirement {
  const leaving = new Map<string, Cancel>();
  /** Endpoints with the incarnation of the broker there. */
  let inUse: ReadonlyMap<string, string> = new Map();

  const retire = (endpoint: string) => {
    leaving.delete(endpoint);
    pool.drop(endpoint);
  };
  return {
    apply(image) {
      const before = inUse;
      inUse = new Map(
        [...image.sessions.values()].flatMap((session): [string, string][] => {
          const endpoint = clientEndpoint(session);
          return endpoint === undefined ? [] : [[endpoint, session.incarnationId]];
        }),
      );
      for (const [endpoint, incarnationId] of inUse) {
        if (before.get(endpoint) !== incarnationId) pool.endPause(endpoint);
        leaving.get(endpoint)?.();
        leaving.delete(endpoint);
      }
      for (const endpoint of before.keys()) {
        if (!inUse.has(endpoint))
          leaving.set(
            endpoint,
            scheduler.after(retireAfterMs, () => retire(endpoint)),
          );
      }
    },
    stop() {
      for (const cancel of leaving.values()) cancel();
      leaving.clear();
    },
  };
}
