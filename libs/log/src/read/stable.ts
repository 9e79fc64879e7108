import { DiskError } from "@tidemark/disk";
import { failureOfDevice } from "../bad-sector.ts";
import { type Damage, DamageError, LogError } from "../errors.ts";
import { assertOnline, type LogState } from "../log-state.ts";
import { tell } from "../tell.ts";

/**
 * Runs a read of the disk again whose bytes lost their meaning under it: cut, compacted, deleted. What is found wrong in
 * a read that nothing disturbed is damage, and takes the replica offline.
 */
export async function stableRead<Value>(log: LogState, attempt: () => Promise<Value>): Promise<Value> {
  for (;;) {
    assertOnline(log);
    // What is read meanwhile would count for nothing.
    if (log.replacing !== undefined) {
      await log.replacing.over.promise;
      continue;
    }
    const { generation } = log;
    const isUndisturbed = () => generation === log.generation && log.replacing === undefined;
    try {
      const result = await attempt();
      if (isUndisturbed()) return result;
    } catch (error) {
      if (!isUndisturbed()) continue;
      if (log.cutting === 0) throw await damageSeen(log, error);
      // What goes, goes under whoever looks there: only when the cut has ended it is known what is damage.
      await log.maintenance.run(() => Promise.resolve());
    }
  }
}

/**
 * Damage takes the replica offline, a file of it that is gone too; a device that gives nothing back is the directory's
 * failure; anything else goes on as it is.
 */
export async function damageSeen(log: LogState, error: unknown): Promise<unknown> {
  const damage = damageIn(log, error);
  if (damage === undefined) return error;
  const failure = await failureOfDevice(log.context, error);
  if (failure !== undefined) return failure;
  takeOffline(log, damage);
  return new LogError("OFFLINE", damage.detail, { cause: error });
}

function damageIn(log: LogState, error: unknown): Damage | undefined {
  if (error instanceof DamageError) return error.damage;
  if (!(error instanceof DiskError) || error.code !== "NOT_FOUND") return undefined;
  return { kind: "missing", offset: log.logStart, detail: `${error.path} is gone` };
}

/** From now on the replica neither leads nor fetches. */
function takeOffline(log: LogState, damage: Damage): void {
  if (log.status.kind !== "online") return;
  log.status = { kind: "offline", damage };
  tell(log, { kind: "offline", damage });
}
