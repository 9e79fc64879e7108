/**
 * Sending a snapshot in pieces (Raft section 7, figure 13): one piece in flight per follower, so that heartbeats pass and
 * a slow follower holds one piece of memory. Where the transfer stands is the follower's word alone.
 */
import type { NodeId } from "./ids.ts";
import type { Machine } from "./machine.ts";
import { isVoter } from "./membership.ts";
import type { SnapshotChunkResponse } from "./messages.ts";
import type { Progress, Replication } from "./progress.ts";

type Sending = Replication & { kind: "snapshot" };

export function sendChunk(machine: Machine, follower: NodeId, progress: Progress, sending: Sending): void {
  if (sending.waits) return;
  const { snapshot, offset } = sending;
  machine.out.chunkOrders.push({
    header: {
      kind: "snapshotChunk",
      from: machine.id,
      to: follower,
      term: machine.term,
      toVoter: isVoter(machine.membership.current(), follower),
      snapshot,
      offset,
    },
    lengthBytes: Math.min(machine.limits.snapshotChunkBytesMax, snapshot.sizeBytes - offset),
  });
  sending.waits = true;
  sending.sentTick = machine.ticks;
  progress.sentCommit = snapshot.index;
}

export function handleChunkResponse(progress: Progress, message: SnapshotChunkResponse): void {
  const { replication: sending } = progress;
  if (sending.kind !== "snapshot" || sending.snapshot.index !== message.snapshot) return;
  // The same offset again is a doubled answer: the piece that it asks for is on its way.
  if (message.nextOffset === sending.offset || message.nextOffset > sending.snapshot.sizeBytes) return;
  sending.offset = message.nextOffset;
  sending.waits = false;
}

/** Sends the piece again that was not answered for an election timeout. */
export function resendChunk(machine: Machine, sending: Sending): void {
  if (machine.ticks - sending.sentTick >= machine.timing.electionTicksMin) sending.waits = false;
}
