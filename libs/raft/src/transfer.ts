/**
 * Handing leadership over (Raft thesis 3.10): take no more proposals, wait until the other has everything, tell it to
 * campaign. Given up after an election timeout; asked again with each heartbeat, since the message may be lost.
 */
import type { NodeId } from "./ids.ts";
import { emit, knownLeader, type Machine, send } from "./machine.ts";
import { isVoter } from "./membership.ts";
import type { LeaderRole } from "./roles.ts";

/**
 * | reason       | cause                                  |
 * |--------------|----------------------------------------|
 * | NOT_LEADER   | `leader` says who is, as far as known  |
 * | NOT_A_VOTER  | only another voter can lead            |
 * | TRANSFERRING | another handover is under way          |
 */
export type TransferRefusal = "NOT_LEADER" | "NOT_A_VOTER" | "TRANSFERRING";

export type TransferOutcome =
  | { readonly kind: "started" }
  | { readonly kind: "refused"; readonly reason: TransferRefusal; readonly leader: NodeId | undefined };

export function transferLeadership(machine: Machine, to: NodeId): TransferOutcome {
  const { role } = machine;
  if (role.kind !== "leader") return { kind: "refused", reason: "NOT_LEADER", leader: knownLeader(machine) };
  if (to === machine.id || !isVoter(machine.membership.current(), to)) {
    return { kind: "refused", reason: "NOT_A_VOTER", leader: machine.id };
  }
  if (role.transfer !== undefined) return { kind: "refused", reason: "TRANSFERRING", leader: machine.id };
  role.transfer = { to, startTick: machine.ticks };
  emit(machine, { kind: "transferStarted", to });
  askToCampaign(machine, role);
  return { kind: "started" };
}

/** Tells the heir to campaign if it has everything. */
export function askToCampaign(machine: Machine, role: LeaderRole): void {
  const to = role.transfer?.to;
  if (to === undefined || role.progress.get(to)?.match !== machine.log.last().index) return;
  send(machine, { kind: "timeoutNow", from: machine.id, to, term: machine.term });
}

export function tickTransfer(machine: Machine, role: LeaderRole): void {
  if (role.transfer === undefined || machine.ticks - role.transfer.startTick < machine.timing.electionTicksMin) return;
  emit(machine, { kind: "transferAbandoned", to: role.transfer.to });
  role.transfer = undefined;
}
