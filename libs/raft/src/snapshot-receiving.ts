/**
 * Taking a snapshot in pieces. A crash forgets what has come so far, and the leader begins anew.
 *
 * 1. A snapshot at or below the commit index, or of an entry that the log has, changes nothing but the commit index: what
 *    follows in the log is kept (Raft section 7).
 * 2. It is acknowledged after its flush, and loaded after its flush.
 */
import { commitTo } from "./commit.ts";
import { acknowledge, followLeader, verifiedTo } from "./follower.ts";
import { samePosition } from "./ids.ts";
import { emit, type Machine, send } from "./machine.ts";
import type { SnapshotChunk } from "./messages.ts";
import type { FollowerRole } from "./roles.ts";

export function handleSnapshotChunk(machine: Machine, message: SnapshotChunk): void {
  const role = followLeader(machine, message);
  if (role === undefined) return;
  const { log } = machine;
  const { snapshot, offset, data } = message;
  if (snapshot.index <= log.committed() || log.has(snapshot)) {
    commitTo(machine, snapshot.index);
    verifiedTo(role, log.committed());
    return acknowledge(machine, role, { force: true });
  }
  const end = offset + data.byteLength;
  if (end > snapshot.sizeBytes || (data.byteLength === 0 && end < snapshot.sizeBytes)) {
    return emit(machine, { kind: "messageRefused", from: message.from, message: message.kind, reason: "malformed" });
  }
  const receiving = receipt(role, message);
  if (receiving === undefined) return;
  if (offset === receiving.nextOffset) {
    receiving.nextOffset = end;
    machine.out.receivedChunks.push(message);
    if (end === snapshot.sizeBytes) return install(machine, role, message);
  }
  send(machine, {
    kind: "snapshotChunkResponse",
    from: machine.id,
    to: message.from,
    term: machine.term,
    snapshot: snapshot.index,
    nextOffset: receiving.nextOffset,
  });
}

/** The transfer that `message` belongs to: a newer snapshot takes the place of an older one, never the reverse. */
function receipt(role: FollowerRole, { snapshot }: SnapshotChunk): FollowerRole["receiving"] {
  const { receiving } = role;
  if (receiving !== undefined && samePosition(receiving.snapshot, snapshot)) return receiving;
  if (receiving !== undefined && receiving.snapshot.index > snapshot.index) return undefined;
  role.receiving = { snapshot, nextOffset: 0 };
  return role.receiving;
}

function install(machine: Machine, role: FollowerRole, message: SnapshotChunk): void {
  const { snapshot } = message;
  role.receiving = undefined;
  machine.log.install(snapshot);
  machine.membership.reset(snapshot.index, snapshot.membership);
  emit(machine, { kind: "snapshotReceived", snapshot: { index: snapshot.index, term: snapshot.term } });
  emit(machine, { kind: "membershipChanged", index: snapshot.index, membership: snapshot.membership });
  verifiedTo(role, snapshot.index);
  if (machine.guards.snapshotAfterFlush) return;
  send(machine, {
    kind: "appendAccepted",
    from: machine.id,
    to: message.from,
    term: machine.term,
    match: snapshot.index,
  });
}
