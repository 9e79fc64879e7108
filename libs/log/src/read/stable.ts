import { DamageError, LogError } from "../errors.ts";
import { assertOnline, type LogState, takeOffline } from "../log-state.ts";

/**
 * Runs a read again whose bytes lost their meaning under it: cut, compacted, deleted. What is found wrong in a read
 * that nothing disturbed is damage, and takes the replica offline.
 */
export async function stableRead<Value>(log: LogState, attempt: () => Promise<Value>): Promise<Value> {
  for (;;) {
    assertOnline(log);
    const { generation } = log;
    const isUndisturbed = () => generation === log.generation && log.replacing === 0;
    try {
      const result = await attempt();
      if (isUndisturbed()) return result;
    } catch (error) {
      if (isUndisturbed()) throw damageSeen(log, error);
    }
  }
}

/** Damage takes the replica offline; anything else goes on as it is. */
export function damageSeen(log: LogState, error: unknown): unknown {
  if (!(error instanceof DamageError)) return error;
  takeOffline(log, error.damage);
  return new LogError("OFFLINE", error.message, { cause: error });
}
