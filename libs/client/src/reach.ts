import type { RpcChannel } from "@tidemark/rpc";
import type { Clock } from "@tidemark/runtime";

/** How long a first connection may take, in milliseconds. */
const connectTimeoutMs = 3000;
/** How long an endpoint that could not be reached is not tried again, in milliseconds. */
const avoidMs = 30_000;

/** Which endpoints can be reached from here: what brokers advertise may mean nothing outside of their own network. */
export interface Reach {
  /** True once a connection stood. False at first: asking begins to connect, and nobody waits for it. */
  isReachable(endpoint: string): boolean;
  /** A call there failed as if nobody were there: it is left alone for a while. */
  avoid(endpoint: string): void;
}

type Standing = { readonly kind: "reached" | "trying" } | { readonly kind: "avoided"; readonly untilMs: number };

export function createReach(channelTo: (endpoint: string) => Pick<RpcChannel, "waitForReady">, clock: Clock): Reach {
  const standings = new Map<string, Standing>();
  const avoid = (endpoint: string) => {
    standings.set(endpoint, { kind: "avoided", untilMs: clock.monotonicMs() + avoidMs });
  };
  const tryIt = (endpoint: string) => {
    standings.set(endpoint, { kind: "trying" });
    channelTo(endpoint)
      .waitForReady(connectTimeoutMs)
      .then(
        () => standings.set(endpoint, { kind: "reached" }),
        () => avoid(endpoint),
      );
  };
  return {
    isReachable(endpoint) {
      const standing = standings.get(endpoint);
      const isDue = standing === undefined || (standing.kind === "avoided" && standing.untilMs <= clock.monotonicMs());
      if (isDue) tryIt(endpoint);
      return standing?.kind === "reached";
    },
    avoid,
  };
}
