/**
 * One place of the simulated cluster: a process that can die, be paused and come back, its disk, and the real `Raft` on it.
 */

import { lastOf, membershipOf } from "../checks/log-image.ts";
import { checkDisk } from "../checks/promises.ts";
import type { LogIndex, NodeId, Term } from "../ids.ts";
import type { Membership } from "../membership.ts";
import type { Message } from "../messages.ts";
import { createRaft, type Raft } from "../raft.ts";
import type { Role } from "../roles.ts";
import { createDisk, type DiskImage, type SimulatedDisk, type StoredSnapshot, startFrom } from "./disk.ts";
import { checkLeads, trace } from "./node-checks.ts";
import { drain, whenAwake } from "./node-driver.ts";
import { createReceipt } from "./snapshot-bytes.ts";
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
  /** Asks for a read. */
  read(): void;
  readonly process: Process;
}

interface Process {
  life: Life | undefined;
  paused: boolean;
  /** What waits until a paused process goes on. */
  inbox: (() => void)[];
  reads: number;
}

/** From one start of a process to its death. */
export interface Life {
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
    process: { life: undefined, paused: false, inbox: [], reads: 0 },
    start: () => start(world, node),
    crash: () => crash(world, node),
    pause: () => pause(world, node),
    resume: () => resume(world, node),
    replaceDisk(newId, newImage) {
      world.remember(node.id, node.disk.durable);
      node.crash();
      node.id = newId;
      node.disk = createDisk(newImage);
      trace(world, node, 4, 0, () => "has an empty disk");
    },
    receive: (message, from) => receive(world, node, message, from),
    act(run) {
      const { life, paused } = node.process;
      if (life === undefined || paused) return;
      run(life.raft);
      drain(world, node, life);
    },
    read: () => read(world, node),
  };
  return node;
}

function start(world: World, node: SimulatedNode): void {
  if (node.process.life !== undefined) return;
  const { durable } = node.disk;
  node.life++;
  node.term = durable.hardState.term;
  node.membership = membershipOf(durable);
  node.committed = durable.snapshot.meta.index;
  node.applied = { index: durable.snapshot.meta.index, state: durable.snapshot.state };
  trace(
    world,
    node,
    6,
    durable.hardState.term,
    () => `starts in term ${durable.hardState.term}, log to ${lastOf(durable).index}`,
  );
  const raft = createRaft({
    id: node.id,
    start: startFrom(durable),
    timing: {
      heartbeatTicks,
      electionTicksMin,
      drawElectionTicks: () => world.draw.between(electionTicksMin, electionTicksMax),
    },
    limits: world.plan.limits,
    guards: world.guards,
  });
  const begun = createLife(raft, durable.snapshot);
  node.process.life = begun;
  node.raft = raft;
  drain(world, node, begun);
  scheduleTick(world, node, begun);
}

function scheduleTick(world: World, node: SimulatedNode, current: Life): void {
  world.queue.after(Math.round(tickMs * node.skew), () => {
    if (node.process.life !== current) return;
    if (!node.process.paused) {
      current.ticks++;
      current.raft.tick();
      drain(world, node, current);
      if (node.process.life !== current) return;
      checkLeads(node, current);
    }
    scheduleTick(world, node, current);
  });
}

function createLife(raft: Raft, snapshot: StoredSnapshot): Life {
  return {
    raft,
    ticks: 0,
    leaderSinceTick: 0,
    hasCommitted: false,
    heardTick: new Map(),
    reads: new Map(),
    snapshots: new Map([[snapshot.meta.index, snapshot]]),
    receipt: createReceipt(),
    snapshotting: false,
    flushedAtMs: 0,
  };
}

function crash(world: World, node: SimulatedNode): void {
  const { process } = node;
  if (process.life === undefined) return;
  trace(world, node, 1, 0, () => "crashes");
  process.life = undefined;
  process.paused = false;
  process.inbox = [];
  node.raft = undefined;
  node.role = "follower";
  node.crashPoint = undefined;
  node.disk = node.disk.crash(world.draw);
  checkDisk(node.id, node.disk.durable);
}

function pause(world: World, node: SimulatedNode): void {
  if (node.process.life === undefined) return;
  trace(world, node, 2, 0, () => "is paused");
  node.process.paused = true;
}

function resume(world: World, node: SimulatedNode): void {
  const { process } = node;
  if (!process.paused) return;
  trace(world, node, 3, 0, () => "goes on");
  process.paused = false;
  // What its own clients ask may be read before what its peers sent meanwhile.
  if (world.draw.chance(0.5)) node.read();
  const waiting = process.inbox;
  process.inbox = [];
  for (const run of waiting) run();
}

function receive(world: World, node: SimulatedNode, message: Message, from: number): void {
  const current = node.process.life;
  if (current === undefined) return;
  whenAwake(node, current, () => {
    trace(
      world,
      node,
      5,
      message.term,
      () => `<- ${String(from)} ${message.kind} of ${message.from} to ${message.to}, term ${message.term}`,
    );
    if (message.to === node.id) current.heardTick.set(message.from, current.ticks);
    current.raft.step(message);
    drain(world, node, current);
  });
}

function read(world: World, node: SimulatedNode): void {
  const { life, paused } = node.process;
  if (life === undefined || paused) return;
  const context = `${node.id}/${String(node.life)}/${String(node.process.reads++)}`;
  if (life.raft.readIndex(context).kind === "waiting") life.reads.set(context, world.ledger.committed());
  drain(world, node, life);
}
