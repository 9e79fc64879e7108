/**
 * Linearizable reads without a write (Raft thesis 6.4).
 *
 * 1. A read's index is the commit index when it comes to the leader, once an entry of the leader's own term is committed:
 *    before that a leader does not know what its predecessors committed.
 * 2. It is confirmed when a majority has answered a heartbeat that was sent after the read came: no newer leader can have
 *    committed anything before.
 * 3. The state to read from has applied at least that index: the caller waits for it.
 */
import type { NodeId } from "./ids.ts";
import { emit, knownLeader, type Machine, send, votersOf } from "./machine.ts";
import type { ReadRequest, ReadResponse } from "./messages.ts";
import { reachedByMajority } from "./quorum.ts";
import type { LeaderRole, PendingRead } from "./roles.ts";

/**
 * | reason             | cause                        |
 * |--------------------|------------------------------|
 * | NO_LEADER          | nobody to ask is known       |
 * | RESOURCE_EXHAUSTED | too many reads wait already  |
 */
export type ReadRefusal = "NO_LEADER" | "RESOURCE_EXHAUSTED";

/** Waiting reads end in `Ready.reads`, as confirmed or as lost; a lost message ends them never: the caller has a deadline. */
export type ReadRequestOutcome =
  | { readonly kind: "waiting" }
  | { readonly kind: "refused"; readonly reason: ReadRefusal };

/** Asks for a read on behalf of this node's caller. */
export function requestRead(machine: Machine, context: string): ReadRequestOutcome {
  const { role } = machine;
  if (role.kind === "leader") {
    return acceptRead(machine, role, context, machine.id)
      ? { kind: "waiting" }
      : { kind: "refused", reason: "RESOURCE_EXHAUSTED" };
  }
  const leader = knownLeader(machine);
  if (role.kind !== "follower" || leader === undefined) return { kind: "refused", reason: "NO_LEADER" };
  if (role.reads.size >= machine.limits.pendingReadsMax) return { kind: "refused", reason: "RESOURCE_EXHAUSTED" };
  role.reads.add(context);
  send(machine, { kind: "readRequest", from: machine.id, to: leader, term: machine.term, context });
  return { kind: "waiting" };
}

export function handleReadRequest(machine: Machine, message: ReadRequest): void {
  const { role } = machine;
  if (role.kind === "leader") acceptRead(machine, role, message.context, message.from);
}

/** False when too many wait. */
function acceptRead(machine: Machine, role: LeaderRole, context: string, from: NodeId): boolean {
  if (role.reads.length + role.earlyReads.length >= machine.limits.pendingReadsMax) return false;
  if (machine.log.committed() < role.firstIndex) role.earlyReads.push({ context, from });
  else beginRead(machine, role, context, from);
  return true;
}

function beginRead(machine: Machine, role: LeaderRole, context: string, from: NodeId): void {
  const read = { context, from, index: machine.log.committed(), round: role.round + 1 };
  if (!machine.guards.readIndexRound) return answerRead(machine, read);
  role.reads.push(read);
  role.roundDue = true;
}

/** The first commit of the term: reads that came before it have their index now. */
export function admitEarlyReads(machine: Machine, role: LeaderRole): void {
  if (role.earlyReads.length === 0 || machine.log.committed() < role.firstIndex) return;
  const early = role.earlyReads;
  role.earlyReads = [];
  for (const { context, from } of early) beginRead(machine, role, context, from);
}

/** Answers the reads whose round a majority has confirmed. */
export function confirmReads(machine: Machine, role: LeaderRole): void {
  if (role.reads.length === 0) return;
  const confirmed = reachedByMajority(votersOf(machine), (id) =>
    id === machine.id ? role.round : (role.progress.get(id)?.round ?? 0),
  );
  const waiting = role.reads.findIndex((read) => read.round > confirmed);
  const done = role.reads.splice(0, waiting === -1 ? role.reads.length : waiting);
  for (const read of done) answerRead(machine, read);
}

function answerRead(machine: Machine, { context, from, index }: PendingRead): void {
  emit(machine, { kind: "readConfirmed", context, index });
  if (from === machine.id) machine.out.reads.push({ kind: "confirmed", context, index });
  else send(machine, { kind: "readResponse", from: machine.id, to: from, term: machine.term, context, index });
}

export function handleReadResponse(machine: Machine, message: ReadResponse): void {
  const { role } = machine;
  if (role.kind !== "follower" || !role.reads.delete(message.context)) return;
  machine.out.reads.push({ kind: "confirmed", context: message.context, index: message.index });
}
