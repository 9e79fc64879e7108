import type { ByteBudget } from "../wire/byte-budget.ts";
import type { MethodSpec } from "./method-spec.ts";
import type { ServerWire } from "./server-wire.ts";

/** Counts the request of a call with one request for as long as the call runs: what waits for an ack is held too. */
export interface RequestMeter {
  /** Counts a request. Returns the budget that it would exceed, and then counts nothing. */
  take(bytes: number): ByteBudget | undefined;
  /** Gives everything back: the call is over. */
  close(): void;
}

export function createRequestMeter(wire: ServerWire, spec: MethodSpec): RequestMeter {
  const { methodKind } = spec.method;
  const budget = wire.connectionBudget;
  let held = 0;
  return {
    take(bytes) {
      // Of streams one message at a time is out; what their handlers keep is theirs to count.
      if (methodKind === "client_streaming" || methodKind === "bidi_streaming") return undefined;
      const exceeded = budget.take(bytes);
      if (exceeded === undefined) held += bytes;
      return exceeded;
    },
    close() {
      budget.give(held);
      held = 0;
    },
  };
}
