/**
 * One place of the simulated cluster: a process that can die, be paused and come back, its disk, and the real `Raft` on it.
 * It drives the node as a real driver does, and holds every step against the invariants.
 */
import type { RaftEvent } from "../events.ts";
import type { LogIndex, NodeId, Term } from "../ids.ts";
import type { Membership } from "../membership.ts";
import type { Message, SnapshotChunkOrder } from "../messages.ts";
import { majorityOf, nthGreatest } from "../quorum.ts";
import { createRaft, type Raft } from "../raft.ts";
import type { FlushToken, Ready, Write } from "../ready.ts";
import type { Role } from "../roles.ts";
import type { SnapshotMeta } from "../start-state.ts";
import {
  createDisk,
  type DiskImage,
  entryAt,
  isLast,
  lastOf,
  membershipOf,
  type SimulatedDisk,
  type StoredSnapshot,
  startFrom,
} from "./disk.ts";
import { stateAfter } from "./ledger.ts";
import { checkDisk, checkSend, holdsEntry } from "./promises.ts";
import { createReceipt, encodeState } from "./snapshot-bytes.ts";
import { check } from "./violation.ts";
import { electionTicksMax, electionTicksMin, heartbeatTicks, tickMs, type World } from "./world.ts";

/** Where a process dies while it does what `ready()` said. */
export type CrashPoint = "beforeWrite" | "sentOnly" | "writtenOnly" | "beforeApply";

export interface SimulatedNode {
  readonly slot: number;
  id: NodeId;
  disk: SimulatedDisk;
  /** Undefined while the process is down. */
  raft: Raft | undefined;
  /** Counts starts. */
  life: number;
  role: Role["kind"];
  term: Term;
  membership: Membership;
  committed: LogIndex;
  /** What was applied, and the state that it made. */
  applied: { index: LogIndex; state: number };
  crashPoint: CrashPoint | undefined;
  slowDisk: boolean;
  /** Of this node's clock against the true one. */
  readonly skew: number;
  start(): void;
  crash(): void;
  pause(): void;
  resume(): void;
  /** Something else moves in: another disk under another id, or under the same one where a test wants that. */
  replaceDisk(id: NodeId, image: DiskImage): void;
  receive(message: Message, from: number): void;
  /** Lets the node do something, and what follows from it. Nothing when it is down or paused. */
  act(run: (raft: Raft) => void): void;
  read(): void;
}

interface Life {
  readonly raft: Raft;
  ticks: number;
  leaderSinceTick: number;
  /** Since this node leads. */
  hasCommitted: boolean;
  readonly heardTick: Map<NodeId, number>;
  readonly reads: Map<string, number>;
  readonly snapshots: Map<number, StoredSnapshot>;
  readonly receipt: ReturnType<typeof createReceipt>;
  snapshotting: boolean;
  flushedAtMs: number;
}

export function createNode(world: World, slot: number, id: NodeId, image: DiskImage, skew: number): SimulatedNode {
  const { queue, draw, plan, ledger } = world;
  let life: Life | undefined;
  let paused = false;
  let inbox: (() => void)[] = [];
  let readCount = 0;

  const node: SimulatedNode = {
    slot,
    id,
    disk: createDisk(image),
    raft: undefined,
    life: 0,
    role: "follower",
    term: image.hardState.term,
    membership: membershipOf(image),
    committed: image.snapshot.meta.index,
    applied: { index: image.snapshot.meta.index, state: image.snapshot.state },
    crashPoint: undefined,
    slowDisk: false,
    skew,
    start,
    crash() {
      if (life === undefined) return;
      trace(1, 0, () => "crashes");
      life = undefined;
      node.raft = undefined;
      node.role = "follower";
      node.crashPoint = undefined;
      paused = false;
      inbox = [];
      node.disk = node.disk.crash(draw);
      checkDisk(node.id, node.disk.durable);
    },
    pause() {
      if (life === undefined) return;
      trace(2, 0, () => "is paused");
      paused = true;
    },
    resume() {
      if (!paused) return;
      trace(3, 0, () => "goes on");
      paused = false;
      // What its own clients ask may be read before what its peers sent meanwhile.
      if (draw.chance(0.5)) node.read();
      const waiting = inbox;
      inbox = [];
      for (const run of waiting) run();
    },
    replaceDisk(newId, newImage) {
      node.crash();
      node.id = newId;
      node.disk = createDisk(newImage);
      trace(4, 0, () => "has an empty disk");
    },
    receive(message, from) {
      const current = life;
      if (current === undefined) return;
      whenAwake(current, () => {
        trace(
          5,
          message.term,
          () => `<- ${String(from)} ${message.kind} of ${message.from} to ${message.to}, term ${message.term}`,
        );
        if (message.to === node.id) current.heardTick.set(message.from, current.ticks);
        current.raft.step(message);
        drain(current);
      });
    },
    act(run) {
      if (life === undefined || paused) return;
      run(life.raft);
      drain(life);
    },
    read() {
      const current = life;
      if (current === undefined || paused) return;
      const context = `${node.id}/${String(node.life)}/${String(readCount++)}`;
      if (current.raft.readIndex(context).kind === "waiting") current.reads.set(context, ledger.committed());
      drain(current);
    },
  };
  return node;

  function start(): void {
    if (life !== undefined) return;
    const { durable } = node.disk;
    node.life++;
    node.term = durable.hardState.term;
    node.membership = membershipOf(durable);
    node.committed = durable.snapshot.meta.index;
    node.applied = { index: durable.snapshot.meta.index, state: durable.snapshot.state };
    trace(6, durable.hardState.term, () => `starts in term ${durable.hardState.term}, log to ${lastOf(durable).index}`);
    const raft = createRaft({
      id: node.id,
      start: startFrom(durable),
      timing: {
        heartbeatTicks,
        electionTicksMin,
        drawElectionTicks: () => draw.between(electionTicksMin, electionTicksMax),
      },
      limits: plan.limits,
      guards: world.guards,
    });
    const begun: Life = {
      raft,
      ticks: 0,
      leaderSinceTick: 0,
      hasCommitted: false,
      heardTick: new Map(),
      reads: new Map(),
      snapshots: new Map([[durable.snapshot.meta.index, durable.snapshot]]),
      receipt: createReceipt(),
      snapshotting: false,
      flushedAtMs: 0,
    };
    life = begun;
    node.raft = raft;
    drain(begun);
    scheduleTick(begun);
  }

  function scheduleTick(current: Life): void {
    queue.after(Math.round(tickMs * node.skew), () => {
      if (life !== current) return;
      if (!paused) {
        current.ticks++;
        current.raft.tick();
        drain(current);
        if (life !== current) return;
        checkLeads(current);
      }
      scheduleTick(current);
    });
  }

  /** Runs now, or when the process goes on; never in another life. */
  function whenAwake(current: Life, run: () => void): void {
    if (life !== current) return;
    if (!paused) run();
    else {
      inbox.push(() => {
        if (life === current) run();
      });
    }
  }

  function drain(current: Life): void {
    while (life === current) {
      const ready = current.raft.ready();
      if (ready === undefined) return;
      handle(current, ready);
    }
  }

  function handle(current: Life, ready: Ready): void {
    const dies = ready.write === undefined ? undefined : node.crashPoint;
    if (dies === "beforeWrite") return node.crash();
    if (dies === "sentOnly") {
      sendAll(current, ready);
      return node.crash();
    }
    if (ready.write !== undefined) write(current, ready.write);
    for (const event of ready.events) observe(current, event);
    if (dies === "writtenOnly") return node.crash();
    sendAll(current, ready);
    if (dies === "beforeApply") return node.crash();
    apply(current, ready);
  }

  function write(current: Life, handed: Write): void {
    const first = handed.entries[0];
    if (first !== undefined) {
      const { written } = node.disk;
      const before = entryAt(written, first.index - 1) ?? written.snapshot.meta;
      ledger.wrote(before, handed.entries);
    }
    const restored = current.receipt.take(handed.snapshotChunks);
    if (restored !== undefined) {
      const meta = handed.snapshotChunks.findLast(isLast)?.snapshot;
      if (meta !== undefined) current.snapshots.set(meta.index, { meta, state: restored });
    }
    node.disk.write(handed, restored);
    checkDisk(node.id, node.disk.written);
    if (handed.mustFlush) scheduleFlush(current, handed.token);
  }

  /** The flush ends some time later, after those before it, and its end is known a moment after that. */
  function scheduleFlush(current: Life, token: FlushToken): void {
    const { disk } = node;
    const slow = node.slowDisk ? draw.between(50, 800) : 0;
    const at = Math.max(current.flushedAtMs, queue.now() + draw.between(0, plan.flushMsMax) + slow);
    current.flushedAtMs = at;
    queue.after(at - queue.now(), () => {
      if (life !== current) return;
      disk.flush(token.write);
      checkDisk(node.id, disk.durable);
      queue.after(draw.between(0, 2), () =>
        whenAwake(current, () => {
          current.raft.flushed(token);
          drain(current);
        }),
      );
    });
  }

  function sendAll(current: Life, ready: Ready): void {
    for (const message of ready.messages) {
      if (world.checksSends) checkSend(message, node.disk.durable);
      world.network.send(world, slot, world.slotOf(message.to), message);
    }
    for (const order of ready.snapshotChunks) sendChunk(current, order);
  }

  function sendChunk(current: Life, { header, lengthBytes }: SnapshotChunkOrder): void {
    const stored = current.snapshots.get(header.snapshot.index);
    if (stored === undefined) return current.raft.snapshotGone(header.snapshot.index);
    const bytes = encodeState(stored.state, header.snapshot.sizeBytes);
    const data = bytes.subarray(header.offset, header.offset + lengthBytes);
    world.network.send(world, slot, world.slotOf(header.to), { ...header, data });
  }

  function apply(current: Life, ready: Ready): void {
    if (ready.restore !== undefined) restore(ready.restore);
    for (const entry of ready.committed) {
      check(
        entry.index === node.applied.index + 1,
        "state machine safety",
        () => `${node.id} applies ${entry.index} after ${node.applied.index}`,
      );
      node.applied = { index: entry.index, state: stateAfter(node.applied.state, entry) };
      ledger.applies(node.id, entry.index, node.applied.state);
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
    maybeSnapshot(current);
  }

  function restore(meta: SnapshotMeta): void {
    const { snapshot } = node.disk.durable;
    check(
      snapshot.meta.index >= meta.index,
      "no send before persist",
      () => `${node.id} loads a snapshot at ${meta.index} that is not flushed`,
    );
    if (snapshot.meta.index !== meta.index) return;
    node.applied = { index: meta.index, state: snapshot.state };
    ledger.applies(node.id, meta.index, snapshot.state);
  }

  function maybeSnapshot(current: Life): void {
    const { index, state } = node.applied;
    if (current.snapshotting || index - node.disk.durable.snapshot.meta.index < plan.snapshotEvery) return;
    current.snapshotting = true;
    const meta: SnapshotMeta = { ...current.raft.snapshotAt(index), sizeBytes: plan.snapshotBytes };
    queue.after(draw.between(1, 200), () =>
      whenAwake(current, () => {
        current.snapshotting = false;
        const stored = { meta, state };
        node.disk.saveSnapshot(stored);
        current.snapshots.set(index, stored);
        for (const old of [...current.snapshots.keys()].slice(0, -2)) current.snapshots.delete(old);
        current.raft.compact(meta, plan.keepEntries);
        drain(current);
      }),
    );
  }

  function observe(current: Life, event: RaftEvent): void {
    trace(7, eventCode(event), () => JSON.stringify(event));
    switch (event.kind) {
      case "becameFollower":
        node.role = "follower";
        node.term = event.term;
        return;
      case "becamePreCandidate":
        node.role = "preCandidate";
        return;
      case "becameCandidate":
        node.role = "candidate";
        node.term = event.term;
        if (event.cause !== "transfer") checkWasNotQuiet(current, event.term);
        return;
      case "becameLeader":
        node.role = "leader";
        current.leaderSinceTick = current.ticks;
        ledger.leads(node.id, node.life, event.term, node.disk.written);
        current.hasCommitted = false;
        world.reaches(node, "election");
        return;
      case "voted":
        return world.reaches(node, "vote");
      case "membershipChanged":
        node.membership = event.membership;
        world.counts.changes++;
        if (node.role === "leader") world.reaches(node, "change");
        return;
      case "committed":
        return commits(current, event.from, event.to);
      case "snapshotReceived":
        node.committed = event.snapshot.index;
        world.counts.snapshots++;
        return;
      case "cut":
        check(
          event.from > node.committed,
          "committed entries stay",
          () => `${node.id} cuts from ${event.from}, committed is ${node.committed}`,
        );
        return;
      default:
    }
  }

  function commits(current: Life, from: LogIndex, to: LogIndex): void {
    const { written } = node.disk;
    check(
      from === node.committed + 1 && to >= from,
      "commit monotonic",
      () => `${node.id} commits ${from} to ${to} after ${node.committed}`,
    );
    node.committed = to;
    if (node.role === "leader" && !current.hasCommitted) {
      current.hasCommitted = true;
      world.reaches(node, "firstCommit");
    }
    const last = entryAt(written, to);
    if (node.role === "leader" && last !== undefined) {
      const { voters } = node.membership;
      const flushed = voters.filter((voter) => {
        const image = world.durableOf(voter.id);
        return image !== undefined && holdsEntry(image, last);
      }).length;
      check(
        flushed >= majorityOf(voters.length),
        "commit has a quorum",
        () => `${node.id} commits ${to}, which ${flushed} of ${voters.length} voters have flushed`,
      );
    }
    ledger.commits(node.id, written, from, to, node.term);
  }

  /** When a majority of voters, this node included, was heard last. */
  function quorumHeardTick(current: Life, never: number): number {
    const { voters } = node.membership;
    const heard = voters.map(({ id }) => (id === node.id ? current.ticks : (current.heardTick.get(id) ?? never)));
    return nthGreatest(heard, majorityOf(voters.length));
  }

  function checkWasNotQuiet(current: Life, term: Term): void {
    const heard = quorumHeardTick(current, Number.NEGATIVE_INFINITY);
    check(
      current.ticks - heard <= electionTicksMax + 1,
      "quiet nodes raise no term",
      () => `${node.id} opens term ${term}, and heard from no majority for more than an election timeout`,
    );
  }

  function checkLeads(current: Life): void {
    if (node.role !== "leader") return;
    const heard = Math.max(current.leaderSinceTick, quorumHeardTick(current, Number.NEGATIVE_INFINITY));
    check(
      current.ticks - heard <= electionTicksMin,
      "a lonely leader steps down",
      () => `${node.id} leads term ${node.term}, and heard from no majority for ${current.ticks - heard} ticks`,
    );
  }

  function trace(code: number, value: number, line: () => string): void {
    world.trace(code, slot, value, () => `${node.id} ${line()}`);
  }
}

/** A number for the trace's hash. */
function eventCode(event: RaftEvent): number {
  let code = event.kind.length * 7;
  if ("term" in event) code += event.term * 1009;
  if ("to" in event && typeof event.to === "number") code += event.to * 31;
  if ("index" in event) code += event.index * 17;
  return code;
}
