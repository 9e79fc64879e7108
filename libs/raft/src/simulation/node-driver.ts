/** How a simulated node does what its `Raft` asks for, as a real driver does. */

import { stateAfter } from "../checks/ledger.ts";
import { entryAt, isLast } from "../checks/log-image.ts";
import { checkDisk, checkSend } from "../checks/promises.ts";
import { check } from "../checks/violation.ts";
import type { SnapshotChunkOrder } from "../messages.ts";
import type { FlushToken, Ready, Write } from "../ready.ts";
import type { SnapshotMeta } from "../start-state.ts";
import type { Life, SimulatedNode } from "./node.ts";
import { observe } from "./node-checks.ts";
import { encodeState } from "./snapshot-bytes.ts";
import type { World } from "./world.ts";

/** Runs now, or when the process goes on; never in another life. */
export function whenAwake(node: SimulatedNode, current: Life, run: () => void): void {
  if (node.process.life !== current) return;
  if (!node.process.paused) run();
  else {
    node.process.inbox.push(() => {
      if (node.process.life === current) run();
    });
  }
}

export function drain(world: World, node: SimulatedNode, current: Life): void {
  while (node.process.life === current) {
    const ready = current.raft.ready();
    if (ready === undefined) return;
    handle(world, node, current, ready);
  }
}

function handle(world: World, node: SimulatedNode, current: Life, ready: Ready): void {
  const dies = ready.write === undefined ? undefined : node.crashPoint;
  if (dies === "beforeWrite") return node.crash();
  if (dies === "sentOnly") {
    sendAll(world, node, current, ready);
    return node.crash();
  }
  if (ready.write !== undefined) write(world, node, current, ready.write);
  for (const event of ready.events) observe(world, node, current, event);
  if (dies === "writtenOnly") return node.crash();
  sendAll(world, node, current, ready);
  if (dies === "beforeApply") return node.crash();
  apply(world, node, current, ready);
}

function write(world: World, node: SimulatedNode, current: Life, handed: Write): void {
  const first = handed.entries[0];
  if (first !== undefined) {
    const { written } = node.disk;
    const before = entryAt(written, first.index - 1) ?? written.snapshot.meta;
    world.ledger.wrote(before, handed.entries);
  }
  const restored = current.receipt.take(handed.snapshotChunks);
  if (restored !== undefined) {
    const meta = handed.snapshotChunks.findLast(isLast)?.snapshot;
    if (meta !== undefined) current.snapshots.set(meta.index, { meta, state: restored });
  }
  node.disk.write(handed, restored);
  checkDisk(node.id, node.disk.written);
  if (handed.mustFlush) scheduleFlush(world, node, current, handed.token);
}

/** The flush ends some time later, after those before it, and its end is known a moment after that. */
function scheduleFlush(world: World, node: SimulatedNode, current: Life, token: FlushToken): void {
  const { disk } = node;
  const slow = node.slowDisk ? world.draw.between(50, 800) : 0;
  const at = Math.max(current.flushedAtMs, world.queue.now() + world.draw.between(0, world.plan.flushMsMax) + slow);
  current.flushedAtMs = at;
  world.queue.after(at - world.queue.now(), () => {
    if (node.process.life !== current) return;
    disk.flush(token.write);
    checkDisk(node.id, disk.durable);
    world.queue.after(world.draw.between(0, 2), () =>
      whenAwake(node, current, () => {
        current.raft.flushed(token);
        drain(world, node, current);
      }),
    );
  });
}

function sendAll(world: World, node: SimulatedNode, current: Life, ready: Ready): void {
  for (const message of ready.messages) {
    if (world.checksSends) checkSend(message, node.disk.durable);
    world.network.send(world, node.slot, world.slotOf(message.to), message);
  }
  for (const order of ready.snapshotChunks) sendChunk(world, node, current, order);
}

function sendChunk(
  world: World,
  node: SimulatedNode,
  current: Life,
  { header, lengthBytes }: SnapshotChunkOrder,
): void {
  const stored = current.snapshots.get(header.snapshot.index);
  if (stored === undefined) return current.raft.snapshotGone(header.snapshot.index);
  const bytes = encodeState(stored.state, header.snapshot.sizeBytes);
  const data = bytes.subarray(header.offset, header.offset + lengthBytes);
  world.network.send(world, node.slot, world.slotOf(header.to), { ...header, data });
}

function apply(world: World, node: SimulatedNode, current: Life, ready: Ready): void {
  if (ready.restore !== undefined) restore(world, node, ready.restore);
  for (const entry of ready.committed) {
    check(
      entry.index === node.applied.index + 1,
      "state machine safety",
      () => `${node.id} applies ${entry.index} after ${node.applied.index}`,
    );
    node.applied = { index: entry.index, state: stateAfter(node.applied.state, entry) };
    world.ledger.applies(node.id, entry.index, node.applied.state);
  }
  for (const read of ready.reads) {
    const asked = current.reads.get(read.context);
    current.reads.delete(read.context);
    if (read.kind === "lost" || asked === undefined) continue;
    world.counts.reads++;
    check(
      read.index >= asked,
      "reads are linearizable",
      () => `${node.id} reads at ${read.index}, and ${asked} was committed before`,
    );
  }
  maybeSnapshot(world, node, current);
}

function restore(world: World, node: SimulatedNode, meta: SnapshotMeta): void {
  const { snapshot } = node.disk.durable;
  check(
    snapshot.meta.index >= meta.index,
    "no send before persist",
    () => `${node.id} loads a snapshot at ${meta.index} that is not flushed`,
  );
  if (snapshot.meta.index !== meta.index) return;
  node.applied = { index: meta.index, state: snapshot.state };
  world.ledger.applies(node.id, meta.index, snapshot.state);
}

function maybeSnapshot(world: World, node: SimulatedNode, current: Life): void {
  const { index, state } = node.applied;
  if (current.snapshotting || index - node.disk.durable.snapshot.meta.index < world.plan.snapshotEvery) return;
  current.snapshotting = true;
  const meta: SnapshotMeta = { ...current.raft.snapshotAt(index), sizeBytes: world.plan.snapshotBytes };
  world.queue.after(world.draw.between(1, 200), () =>
    whenAwake(node, current, () => {
      current.snapshotting = false;
      const stored = { meta, state };
      node.disk.saveSnapshot(stored);
      current.snapshots.set(index, stored);
      for (const old of [...current.snapshots.keys()].slice(0, -2)) current.snapshots.delete(old);
      current.raft.compact(meta, world.plan.keepEntries);
      drain(world, node, current);
    }),
  );
}
