import type { MetadataImage } from "@tidemark/metadata";
import type { ChannelPool } from "@tidemark/rpc";
import type { Cancel, Scheduler } from "@tidemark/runtime";
import { clientEndpoint } from "./route-table.ts";

/** Longer than any call may last: what was sent to an endpoint before it was left is over by then. */
const retireAfterMs = 300_000;

/** Closes the connections to where no broker is any more: brokers move, and a gateway lives long. */
export interface EndpointRetirement {
  /** Takes the next metadata. */
  apply(image: MetadataImage): void;
  stop(): void;
}

export function createEndpointRetirement(pool: Pick<ChannelPool, "drop">, scheduler: Scheduler): EndpointRetirement {
  const leaving = new Map<string, Cancel>();
  let inUse: ReadonlySet<string> = new Set();

  const retire = (endpoint: string) => {
    leaving.delete(endpoint);
    pool.drop(endpoint);
  };
  return {
    apply(image) {
      const before = inUse;
      inUse = new Set([...image.sessions.values()].flatMap((session) => clientEndpoint(session) ?? []));
      for (const endpoint of inUse) {
        leaving.get(endpoint)?.();
        leaving.delete(endpoint);
      }
      for (const endpoint of before) {
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
