/**
 * When a replica is told the time. One that waits for something is told at each tick of the broker; one that does not
 * is told once a second, for what may take seconds: silence that fences, a fetch that is never answered. So thousands of
 * idle partitions cost next to nothing.
 */
import { giveInput } from "./give-input.ts";
import type { ReplicaState } from "./replica-state.ts";
import { letGo } from "./watched-batches.ts";

/** How long an idle replica may go without the time, in milliseconds. */
export const idleTickMs = 1000;

export function tick(
  replica: ReplicaState,
  time: { readonly nowMs: number; readonly controllerHeardMs: number },
): void {
  letGo(replica, time.nowMs);
  if (time.nowMs < replica.tickedMs + idleTickMs && !isBusy(replica)) return;
  replica.tickedMs = time.nowMs;
  replica.producers.tick(time.nowMs);
  giveInput(replica, { kind: "tick", ...time });
}

/** When a new replica counts as told last: those of a broker take turns. */
export function firstTurn(nowMs: number, replicas: number): number {
  return nowMs - ((replicas * 100) % idleTickMs);
}

function isBusy({ machine, log, isProposing, clients }: ReplicaState): boolean {
  return clients > 0 || isProposing || machine.resumesAtMs !== undefined || machine.highWatermark < log.logEndOffset;
}
