/**
 * Following a leader: appends, heartbeats, acknowledgements (Raft figure 2 "AppendEntries", 5.3).
 */
import { campaign } from "./campaign.ts";
import { commitTo } from "./commit.ts";
import type { Entry } from "./entry.ts";
import type { MessageRefusal } from "./events.ts";
import { indexAfter, type LogIndex, noTerm, type Position } from "./ids.ts";
import { emit, type Machine, send } from "./machine.ts";
import type { AppendRequest, Heartbeat, Message, SnapshotChunk, TimeoutNow } from "./messages.ts";
import type { FollowerRole } from "./roles.ts";
import { becomeFollower } from "./transitions.ts";

export function tickFollower(machine: Machine, role: FollowerRole): void {
  if (machine.ticks - role.waitTick < role.timeoutTicks) return;
  campaign(machine, "timeout");
  // Whoever may not stand for election goes on waiting, and no longer says who leads.
  if (machine.role === role && role.leader !== undefined)
    becomeFollower(machine, machine.term, undefined, "leaderLost");
}

/**
 * Takes the sender of a leader's message of the current term for the leader. Undefined when the message must not be taken
 * up.
 */
export function followLeader(
  machine: Machine,
  message: AppendRequest | Heartbeat | SnapshotChunk,
): FollowerRole | undefined {
  if (message.toVoter && machine.log.isBlank() && machine.guards.emptyDiskNeverVotes) {
    return refuse(machine, message, "blankVoter");
  }
  const { role } = machine;
  switch (role.kind) {
    case "leader":
      return refuse(machine, message, "twoLeaders");
    case "preCandidate":
    case "candidate":
      return becomeFollower(machine, machine.term, message.from, "leaderSeen");
    case "follower":
      if (role.leader === undefined) {
        role.leader = message.from;
        // Whoever was found fit has been elected, or has lost.
        machine.preVotedTick = Number.NEGATIVE_INFINITY;
        emit(machine, { kind: "leaderFound", term: machine.term, leader: message.from });
      } else if (role.leader !== message.from) {
        return refuse(machine, message, "twoLeaders");
      }
      role.heardTick = machine.ticks;
      role.waitTick = machine.ticks;
      return role;
  }
}

function refuse(machine: Machine, message: Message, reason: MessageRefusal): undefined {
  emit(machine, { kind: "messageRefused", from: message.from, message: message.kind, reason });
}

export function handleHeartbeat(machine: Machine, message: Heartbeat): void {
  const role = followLeader(machine, message);
  if (role === undefined) return;
  if (message.commit > machine.log.last().index) return loseEntries(machine, message);
  commitTo(machine, message.commit);
  send(machine, {
    kind: "heartbeatResponse",
    from: machine.id,
    to: message.from,
    term: machine.term,
    round: message.round,
  });
}

/**
 * A heartbeat names no commit index beyond what this node itself told this leader, in this term, to be flushed. Nothing
 * cuts that within the term, so a log that ends before it was lost, by whatever else keeps the disk: an older copy was
 * put back, or what was flushed was not on stable storage. The votes of that time may be lost too. Were the node filled
 * again, a majority that counted on it would be one member short.
 */
function loseEntries(machine: Machine, { from, commit }: Heartbeat): void {
  machine.lostEntries = true;
  machine.out.messages = [];
  machine.out.held = [];
  emit(machine, { kind: "entriesLost", leader: from, known: commit, last: machine.log.last().index });
}

export function handleAppendRequest(machine: Machine, message: AppendRequest): void {
  const { previous, entries } = message;
  if (!followEachOther(previous, entries, message)) {
    refuse(machine, message, "malformed");
    return;
  }
  const role = followLeader(machine, message);
  if (role === undefined) return;
  const { log } = machine;
  // What is committed here is committed at the leader too: only a previous entry behind that has to be compared.
  if (previous.index > log.committed() && !log.has(previous)) return rejectAppend(machine, message);
  const end = entries.at(-1)?.index ?? previous.index;
  const grew = takeEntries(machine, previous, entries);
  verifiedTo(role, end > log.committed() ? end : log.committed());
  commitTo(machine, message.commit < end ? message.commit : end);
  // What is new is acknowledged by its flush.
  if (!grew) acknowledge(machine, role, { force: true });
}

function followEachOther(previous: Position, entries: readonly Entry[], message: AppendRequest): boolean {
  let before = previous;
  for (const entry of entries) {
    if (entry.index !== before.index + 1 || entry.term < before.term || entry.term > message.term) return false;
    before = entry;
  }
  return true;
}

/** Cuts at the first conflict and appends what is new (Raft figure 2, rules 3 and 4). True when something was new. */
function takeEntries(machine: Machine, previous: Position, entries: readonly Entry[]): boolean {
  const { log, guards } = machine;
  const known = guards.cutOnlyConflicts ? countKnown(machine, entries) : countUpToBase(machine, entries);
  const first = entries[known];
  const from = first?.index ?? indexAfter(previous.index, known + 1);
  if (first === undefined && guards.cutOnlyConflicts) return false;
  if (from <= log.last().index) {
    emit(machine, { kind: "cut", from, last: log.last() });
    log.cutFrom(from, guards.cutOnlyConflicts);
    if (machine.membership.cutFrom(from)) emitMembership(machine);
  }
  if (first === undefined) return false;
  const added = known === 0 ? entries : entries.slice(known);
  log.append(added);
  emit(machine, { kind: "appended", from, last: positionOf(log.last()) });
  if (machine.membership.append(added)) emitMembership(machine);
  return true;
}

/** How many of the entries stand in the log already. Those up to the commit index do, whatever was forgotten of them. */
function countKnown(machine: Machine, entries: readonly Entry[]): number {
  const { log } = machine;
  let known = 0;
  for (const entry of entries) {
    if (entry.index > log.committed() && !log.has(entry)) break;
    known++;
  }
  return known;
}

function countUpToBase(machine: Machine, entries: readonly Entry[]): number {
  return entries.filter((entry) => entry.index <= machine.log.base().index).length;
}

function emitMembership(machine: Machine): void {
  const { membership } = machine;
  emit(machine, { kind: "membershipChanged", index: membership.currentIndex(), membership: membership.current() });
}

function positionOf(position: Position): Position {
  return { index: position.index, term: position.term };
}

/** Says what may be shared: the last own entry that is neither behind `previous` nor of a later term than it. */
function rejectAppend(machine: Machine, message: AppendRequest): void {
  const { log } = machine;
  const index = log.lastNotAfter(message.previous.index, message.previous.term);
  send(machine, {
    kind: "appendRejected",
    from: machine.id,
    to: message.from,
    term: machine.term,
    previous: message.previous.index,
    hint: { index, term: log.termAt(index) ?? noTerm },
  });
}

/** Notes that everything up to `index` is as the leader has it. */
export function verifiedTo(role: FollowerRole, index: LogIndex): void {
  if (index > role.verified) role.verified = index;
}

/**
 * Tells the leader what is flushed and as it has it. `force`: also when that is no news, because the leader asked. One
 * message answers all appends that one flush covers.
 */
export function acknowledge(machine: Machine, role: FollowerRole, { force }: { readonly force: boolean }): void {
  if (role.leader === undefined) return;
  const flushed = machine.guards.answerAfterFlush ? machine.log.flushed() : machine.log.last().index;
  const match = flushed < role.verified ? flushed : role.verified;
  if (match <= role.acknowledged && !force) return;
  if (match > role.acknowledged) role.acknowledged = match;
  send(machine, { kind: "appendAccepted", from: machine.id, to: role.leader, term: machine.term, match });
}

/** The leader hands over. Voters only; anyone else goes on waiting. */
export function handleTimeoutNow(machine: Machine, message: TimeoutNow): void {
  const { role } = machine;
  if (role.kind !== "follower" || (role.leader !== undefined && role.leader !== message.from)) return;
  campaign(machine, "transfer");
}
