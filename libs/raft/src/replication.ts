/**
 * What a leader sends to each follower, and what it makes of the answers. `progress.ts` has the table of states.
 *
 * Appends are made when messages are collected, so that everything that was proposed since then goes in one message.
 */
import { advanceCommit } from "./commit.ts";
import { entryBytes } from "./entry.ts";
import { indexAfter, type LogIndex, type NodeId } from "./ids.ts";
import { emit, type Machine, send } from "./machine.ts";
import { isVoter } from "./membership.ts";
import type { AppendAccepted, AppendRejected, HeartbeatResponse } from "./messages.ts";
import {
  becomeProbe,
  becomeReplicate,
  becomeSnapshot,
  noteCatchUp,
  type Progress,
  type Replication,
  raiseMatch,
} from "./progress.ts";
import { confirmReads } from "./read-index.ts";
import type { LeaderRole } from "./roles.ts";
import { resendChunk, sendChunk } from "./snapshot-sending.ts";
import { askToCampaign } from "./transfer.ts";

/** Sends every follower what it may be sent now. */
export function replicateAll(machine: Machine, role: LeaderRole): void {
  for (const [follower, progress] of role.progress) replicateTo(machine, follower, progress);
}

function replicateTo(machine: Machine, follower: NodeId, progress: Progress): void {
  const { replication } = progress;
  if (replication.kind === "snapshot") return sendChunk(machine, follower, progress, replication);
  if (machine.log.termAt(indexAfter(progress.next, -1)) === undefined) {
    startSnapshot(machine, follower, progress);
    return;
  }
  if (replication.kind === "probe") {
    if (replication.waits) return;
    sendAppend(machine, follower, progress);
    replication.waits = true;
    return;
  }
  sendWithoutWaiting(machine, follower, progress, replication);
}

function sendWithoutWaiting(
  machine: Machine,
  follower: NodeId,
  progress: Progress,
  replication: Replication & { kind: "replicate" },
): void {
  const { inflight } = replication;
  let sent = false;
  while (progress.next <= machine.log.last().index && hasRoom(machine, replication)) {
    const bytes = sendAppend(machine, follower, progress);
    inflight.add(indexAfter(progress.next, -1), bytes);
    sent = true;
  }
  const news = progress.sentCommit < machine.log.committed() && progress.next > machine.log.last().index;
  if (!sent && (news || replication.nudge)) sendAppend(machine, follower, progress, 0);
  replication.nudge = false;
}

function hasRoom(machine: Machine, replication: Replication & { kind: "replicate" }): boolean {
  const { inflight } = replication;
  return inflight.messages < machine.limits.inflightMessagesMax && inflight.bytes < machine.limits.inflightBytesMax;
}

/** Sends entries from `next` on, which moves behind them where this follower takes them without waiting. */
function sendAppend(machine: Machine, follower: NodeId, progress: Progress, bytesMax?: number): number {
  const { log, limits } = machine;
  const previous = indexAfter(progress.next, -1);
  const previousTerm = log.termAt(previous);
  if (previousTerm === undefined) return 0;
  const entries = bytesMax === 0 ? [] : log.read(progress.next, log.last().index, limits.appendBytesMax);
  send(machine, {
    kind: "appendRequest",
    from: machine.id,
    to: follower,
    term: machine.term,
    toVoter: isVoter(machine.membership.current(), follower),
    previous: { index: previous, term: previousTerm },
    entries,
    commit: log.committed(),
  });
  progress.sentCommit = log.committed();
  if (progress.replication.kind === "replicate") progress.next = indexAfter(progress.next, entries.length);
  return entries.reduce((bytes, entry) => bytes + entryBytes(entry), 0);
}

/** What the follower needs next is forgotten: it gets the snapshot, once it was heard to be there. */
function startSnapshot(machine: Machine, follower: NodeId, progress: Progress): void {
  if (!progress.contacted) return;
  const snapshot = machine.log.snapshot();
  becomeSnapshot(progress, snapshot, machine.ticks);
  emit(machine, { kind: "snapshotSending", follower, snapshot: snapshot.index });
  replicateTo(machine, follower, progress);
}

export function sendHeartbeats(machine: Machine, role: LeaderRole): void {
  role.heartbeatTick = machine.ticks;
  if (role.transfer !== undefined) askToCampaign(machine, role);
  for (const [follower, progress] of role.progress) {
    const committed = machine.log.committed();
    send(machine, {
      kind: "heartbeat",
      from: machine.id,
      to: follower,
      term: machine.term,
      toVoter: isVoter(machine.membership.current(), follower),
      commit: progress.match < committed ? progress.match : committed,
      round: role.round,
    });
  }
}

/** Whatever a follower says in this term, it is there. */
export function noteContact(machine: Machine, role: LeaderRole, follower: NodeId): Progress | undefined {
  const progress = role.progress.get(follower);
  if (progress === undefined) return undefined;
  progress.contactTick = machine.ticks;
  progress.contacted = true;
  return progress;
}

export function handleAppendAccepted(machine: Machine, role: LeaderRole, message: AppendAccepted): void {
  const progress = noteContact(machine, role, message.from);
  if (progress === undefined || message.match > machine.log.last().index) return;
  const { replication } = progress;
  const news = raiseMatch(progress, message.match);
  noteCatchUp(progress, machine.log.last().index, machine.ticks);
  switch (replication.kind) {
    case "probe":
      if (news || message.match === progress.match) becomeReplicate(progress);
      break;
    case "replicate":
      replication.inflight.freeThrough(message.match);
      break;
    case "snapshot":
      // The base may have moved beyond this snapshot meanwhile: then the next one follows.
      if (progress.match >= replication.snapshot.index || progress.match >= machine.log.base().index) {
        emit(machine, { kind: "snapshotSent", follower: message.from, snapshot: replication.snapshot.index });
        becomeReplicate(progress);
      }
  }
  if (!news) return;
  advanceCommit(machine, role);
  if (role.transfer !== undefined) askToCampaign(machine, role);
}

/** Goes back by whole terms: to the last entry that both may have (Raft 5.3, the faster form). */
export function handleAppendRejected(machine: Machine, role: LeaderRole, message: AppendRejected): void {
  const progress = noteContact(machine, role, message.from);
  if (progress === undefined || message.previous <= progress.match) return;
  switch (progress.replication.kind) {
    case "snapshot":
      return;
    case "replicate":
      becomeProbe(progress);
      break;
    case "probe": {
      // An answer to an earlier probe says nothing that is not known already.
      if (message.previous !== progress.next - 1) return;
      const shared = machine.log.lastNotAfter(message.hint.index, message.hint.term);
      progress.next = indexAfter(shared > progress.match ? shared : progress.match);
      progress.replication.waits = false;
    }
  }
  emit(machine, { kind: "conflict", follower: message.from, previous: message.previous, next: progress.next });
}

export function handleHeartbeatResponse(machine: Machine, role: LeaderRole, message: HeartbeatResponse): void {
  const progress = noteContact(machine, role, message.from);
  if (progress === undefined) return;
  if (message.round > progress.round && message.round <= role.round) {
    progress.round = message.round;
    confirmReads(machine, role);
  }
  noteCatchUp(progress, machine.log.last().index, machine.ticks);
  const { replication } = progress;
  switch (replication.kind) {
    case "probe":
      replication.waits = false;
      break;
    case "replicate":
      // It answers, and yet something is missing: an append or its answer was lost. Asking again finds out.
      if (!hasRoom(machine, replication)) replication.inflight.freeOldest();
      if (progress.match < machine.log.last().index) replication.nudge = true;
      break;
    case "snapshot":
      resendChunk(machine, replication);
  }
}

/** The connection broke: what was in flight is lost, and one append finds out from where to go on. */
export function restartReplication(role: LeaderRole, follower: NodeId): void {
  const progress = role.progress.get(follower);
  if (progress === undefined) return;
  if (progress.replication.kind === "snapshot") progress.replication.waits = false;
  else becomeProbe(progress);
}

/** The driver no longer has the snapshot `index`: whoever was being sent it begins anew with the newest one. */
export function restartSnapshots(role: LeaderRole, index: LogIndex): void {
  for (const progress of role.progress.values()) {
    const { replication } = progress;
    if (replication.kind === "snapshot" && replication.snapshot.index === index) becomeProbe(progress);
  }
}
