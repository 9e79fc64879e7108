import type { Clock } from "@tidemark/runtime";
import type { ConnectionLimits } from "../wire/budgets.ts";

/** Why a connection was closed before it could ask for anything. */
export type ConnectionRefusal = "total" | "perAddress" | "newPerAddressPerSecond" | "handshakeTimeout";

/** Decides which connections come in. */
export interface ConnectionGate {
  /** Counts a connection in, or says which limit it is over. */
  admit(address: string): Exclude<ConnectionRefusal, "handshakeTimeout"> | undefined;
  /** One that was admitted is closed. */
  release(address: string): void;
}

interface AddressState {
  open: number;
  /** Start of the second that `fresh` counts in. */
  secondStartedAt: number;
  fresh: number;
}

export function createConnectionGate(
  clock: Clock,
  limits: Pick<ConnectionLimits, "total" | "perAddress" | "newPerAddressPerSecond">,
): ConnectionGate {
  const addresses = new Map<string, AddressState>();
  let open = 0;
  return {
    admit(address) {
      const now = clock.monotonicMs();
      const state = addresses.get(address) ?? { open: 0, secondStartedAt: now, fresh: 0 };
      if (now - state.secondStartedAt >= 1000) {
        state.secondStartedAt = now;
        state.fresh = 0;
      }
      if (open >= limits.total) return "total";
      if (state.open >= limits.perAddress) return "perAddress";
      if (state.fresh >= limits.newPerAddressPerSecond) return "newPerAddressPerSecond";
      open += 1;
      state.open += 1;
      state.fresh += 1;
      addresses.set(address, state);
      return undefined;
    },
    release(address) {
      open -= 1;
      const state = addresses.get(address);
      if (state === undefined) return;
      state.open -= 1;
      if (addresses.size > limits.total) forgetIdle(addresses, clock.monotonicMs());
    },
  };
}

/** Addresses without connections are kept for the second in which they count, and longer only while they are few. */
function forgetIdle(addresses: Map<string, AddressState>, now: number): void {
  for (const [address, state] of addresses) {
    if (state.open === 0 && now - state.secondStartedAt >= 1000) addresses.delete(address);
  }
}
