/**
 * A leader's own part: the no-op that opens its term, proposals, heartbeats, and giving up when nobody answers.
 */
import { advanceCommit } from "./commit.ts";
import { type BatchEntry, type Entry, entryBytes } from "./entry.ts";
import { indexAfter, type NodeId, type Position } from "./ids.ts";
import { emit, knownLeader, type Machine, votersOf } from "./machine.ts";
import { reachedByMajority } from "./quorum.ts";
import { sendHeartbeats } from "./replication.ts";
import type { LeaderRole } from "./roles.ts";
import { tickTransfer } from "./transfer.ts";
import { becomeFollower, becomeLeader, syncProgress } from "./transitions.ts";

/**
 * | reason             | cause                                                            |
 * |--------------------|------------------------------------------------------------------|
 * | NOT_LEADER         | `leader` says who is, as far as this node knows                  |
 * | TRANSFERRING       | leadership is being handed over                                  |
 * | RESOURCE_EXHAUSTED | too many bytes are proposed and not committed                    |
 */
export type ProposalRefusal = "NOT_LEADER" | "TRANSFERRING" | "RESOURCE_EXHAUSTED";

/** Accepted means appended, at this position. It is committed when an entry of this position is handed out. */
export type ProposalOutcome =
  | { readonly kind: "accepted"; readonly position: Position }
  | { readonly kind: "refused"; readonly reason: ProposalRefusal; readonly leader: NodeId | undefined };

/** Leads from now on. Opens the term with a no-op: only when that is committed is all known that was before. */
export function lead(machine: Machine): void {
  const role = becomeLeader(machine);
  appendOwn(machine, role, { kind: "noop", ...nextPosition(machine) });
}

/** Appends `data` as one entry, which is committed whole or not at all. */
export function propose(machine: Machine, data: Uint8Array): ProposalOutcome {
  const { role } = machine;
  if (role.kind !== "leader") return { kind: "refused", reason: "NOT_LEADER", leader: knownLeader(machine) };
  if (role.transfer !== undefined) return { kind: "refused", reason: "TRANSFERRING", leader: role.transfer.to };
  const entry: BatchEntry = { kind: "batch", ...nextPosition(machine), data };
  const bytes = entryBytes(entry);
  // One proposal is always let in, however large: it would never fit otherwise.
  if (role.uncommittedBytes > 0 && role.uncommittedBytes + bytes > machine.limits.uncommittedBytesMax) {
    return { kind: "refused", reason: "RESOURCE_EXHAUSTED", leader: machine.id };
  }
  role.uncommittedBytes += bytes;
  appendOwn(machine, role, entry);
  return { kind: "accepted", position: { index: entry.index, term: entry.term } };
}

/** Where a leader's next entry stands. */
export function nextPosition(machine: Machine): Position {
  return { index: indexAfter(machine.log.last().index), term: machine.term };
}

/** A leader only ever adds to its log (Raft 5.3, Leader Append-Only). */
export function appendOwn(machine: Machine, role: LeaderRole, entry: Entry): void {
  machine.log.append([entry]);
  emit(machine, { kind: "appended", from: entry.index, last: { index: entry.index, term: entry.term } });
  if (machine.membership.append([entry])) {
    syncProgress(machine, role);
    emit(machine, {
      kind: "membershipChanged",
      index: machine.membership.currentIndex(),
      membership: machine.membership.current(),
    });
  }
  if (!machine.guards.answerAfterFlush) advanceCommit(machine, role);
}

export function tickLeader(machine: Machine, role: LeaderRole): void {
  tickTransfer(machine, role);
  if (machine.guards.checkQuorum && !hearsFromMajority(machine, role)) {
    becomeFollower(machine, machine.term, undefined, "noQuorum");
    return;
  }
  if (machine.ticks - role.heartbeatTick >= machine.timing.heartbeatTicks) sendHeartbeats(machine, role);
}

/** Whether a majority was heard within the shortest election timeout. Later another leader may be elected. */
function hearsFromMajority(machine: Machine, role: LeaderRole): boolean {
  const heardTick = reachedByMajority(votersOf(machine), (id) =>
    id === machine.id ? machine.ticks : (role.progress.get(id)?.contactTick ?? role.startTick),
  );
  return machine.ticks - heardTick < machine.timing.electionTicksMin;
}
