/**
 * Nodes whose every step is commanded: time passes only where it is told to, and a message arrives when it is delivered.
 * Made for tests and scripts, which see what happens as lines of text.
 */
import { directoryId } from "@tidemark/ids";
import { isLast } from "../checks/log-image.ts";
import { describeEvent, describeMessage } from "../event-text.ts";
import type { Guards } from "../guards.ts";
import type { LogIndex, NodeId } from "../ids.ts";
import type { Message } from "../messages.ts";
import type { Limits } from "../options.ts";
import { createRaft, type Raft } from "../raft.ts";
import type { Write } from "../ready.ts";
import { createDisk, type DiskImage, imageOf, type SimulatedDisk, startFrom } from "../simulation/disk.ts";
import { blankStart, formattedStart, type SnapshotMeta } from "../start-state.ts";

export const heartbeatTicks = 2;
export const electionTicksMin = 10;
/** Every election timeout that is drawn. Longer than the shortest one, so that a voter can have lost patience alone. */
export const electionTicks = 15;

interface ScriptedNode {
  readonly id: NodeId;
  readonly name: string;
  raft: Raft;
  disk: SimulatedDisk;
  running: boolean;
  /** Flushes wait until they are told to end. */
  holdsFlushes: boolean;
  unflushed: Write[];
}

export interface ScriptedCluster {
  readonly nodes: ReadonlyMap<string, ScriptedNode>;
  node(name: string): ScriptedNode;
  /** Messages that were sent and not delivered, oldest first. */
  readonly wire: Message[];
  /** Does something to a node and everything that it asks for then. */
  act(name: string, run: (raft: Raft) => void): void;
  tick(name: string, ticks: number): void;
  /** Lets `name` miss its leader: time passes for it until it campaigns. */
  timeout(name: string): void;
  /** Delivers what is on the wire, and what follows from it, until nothing moves. False from `passes` loses a message. */
  settle(passes?: (message: Message) => boolean): void;
  /** Delivers one message, whether it is on the wire or was before. */
  deliver(message: Message): void;
  /** Ends the oldest `count` flushes. */
  flush(name: string, count?: number): void;
  crash(name: string): void;
  start(name: string): void;
  /** Snapshots what was applied. */
  compact(name: string, keepEntries: number): void;
  /** An empty disk under a new name, or under one that had another disk before. */
  addBlank(name: string): void;
  nameOf(id: NodeId): string;
  /** What happened since the last call. */
  takeTrace(): string[];
}

export interface ScriptedClusterOptions {
  readonly voters: readonly string[];
  readonly limits?: Partial<Limits>;
  readonly guards?: Partial<Guards>;
  /** What each node's disk holds at first, where it is not what formatting writes. */
  readonly images?: ReadonlyMap<string, DiskImage>;
  readonly snapshotBytes?: number;
}

/** The id of the node `n7` ends with 7. */
export function idOf(name: string): NodeId {
  return directoryId(`00000000-0000-4000-8000-${name.replace(/\D/g, "").padStart(12, "0")}`);
}

/** The nodes, the wire between them, and what happens to what they ask for. */
function createStage(options: ScriptedClusterOptions) {
  const nodes = new Map<string, ScriptedNode>();
  const names = new Map<NodeId, string>();
  const wire: Message[] = [];
  const trace: string[] = [];
  const nameOf = (id: NodeId) => names.get(id) ?? id;
  const node = (name: string): ScriptedNode => {
    const found = nodes.get(name);
    if (found === undefined) throw new Error(`There is no node ${name}`);
    return found;
  };

  const boot = (id: NodeId, image: DiskImage) =>
    createRaft({
      id,
      start: startFrom(image),
      timing: { heartbeatTicks, electionTicksMin, drawElectionTicks: () => electionTicks },
      ...(options.limits === undefined ? {} : { limits: options.limits }),
      ...(options.guards === undefined ? {} : { guards: options.guards }),
    });

  const add = (name: string, image: DiskImage): void => {
    const id = idOf(name);
    names.set(id, name);
    const disk = createDisk(image);
    nodes.set(name, {
      id,
      name,
      raft: boot(id, image),
      disk,
      running: true,
      holdsFlushes: false,
      unflushed: [],
    });
    drain(node(name));
  };

  const drain = (target: ScriptedNode): void => {
    for (let ready = target.raft.ready(); ready !== undefined; ready = target.raft.ready()) {
      for (const event of ready.events) trace.push(`${target.name}: ${describeEvent(event, nameOf)}`);
      for (const read of ready.reads) {
        trace.push(`${target.name}: read ${read.context} ${read.kind === "lost" ? "is lost" : `at ${read.index}`}`);
      }
      if (ready.write !== undefined) {
        target.disk.write(ready.write, ready.write.snapshotChunks.some(isLast) ? 0 : undefined);
        if (ready.write.mustFlush) target.unflushed.push(ready.write);
        if (!target.holdsFlushes) flush(target, target.unflushed.length);
      }
      send(ready.messages);
      send(ready.snapshotChunks.map((order) => ({ ...order.header, data: new Uint8Array(order.lengthBytes) })));
    }
  };

  const send = (messages: readonly Message[]): void => {
    for (const message of messages) {
      wire.push(message);
      trace.push(describeMessage(message, nameOf));
    }
  };

  const flush = (target: ScriptedNode, count: number): void => {
    for (const write of target.unflushed.splice(0, count)) {
      target.disk.flush(write.token.write);
      target.raft.flushed(write.token);
    }
  };

  return { nodes, node, nameOf, wire, trace, boot, add, drain, flush };
}

export function createScriptedCluster(options: ScriptedClusterOptions): ScriptedCluster {
  const { nodes, node, nameOf, wire, trace, boot, add, drain, flush } = createStage(options);
  const formatted = imageOf(formattedStart(options.voters.map((name) => ({ id: idOf(name), address: name }))));

  const act = (name: string, run: (raft: Raft) => void): void => {
    const target = node(name);
    if (!target.running) throw new Error(`${name} is down`);
    run(target.raft);
    drain(target);
  };

  const deliver = (message: Message): void => {
    const target = nodes.get(nameOf(message.to));
    if (target === undefined || !target.running) return;
    target.raft.step(message);
    drain(target);
  };

  for (const name of options.voters) add(name, options.images?.get(name) ?? formatted);

  return {
    nodes,
    node,
    wire,
    act,
    tick(name, ticks) {
      for (let tick = 0; tick < ticks; tick++) act(name, (raft) => raft.tick());
    },
    timeout(name) {
      act(name, (raft) => {
        for (let tick = 0; tick < electionTicks && raft.status().role === "follower"; tick++) raft.tick();
      });
    },
    settle(passes = () => true) {
      for (let message = wire.shift(); message !== undefined; message = wire.shift()) {
        if (passes(message)) deliver(message);
      }
    },
    deliver,
    flush(name, count) {
      const target = node(name);
      flush(target, count ?? target.unflushed.length);
      drain(target);
    },
    crash(name) {
      const target = node(name);
      target.running = false;
      target.unflushed = [];
      target.disk = createDisk(target.disk.durable);
    },
    start(name) {
      const target = node(name);
      target.raft = boot(target.id, target.disk.durable);
      target.running = true;
      drain(target);
    },
    compact(name, keepEntries) {
      act(name, (raft) => {
        const index: LogIndex = raft.status().applied;
        const meta: SnapshotMeta = { ...raft.snapshotAt(index), sizeBytes: options.snapshotBytes ?? 0 };
        node(name).disk.saveSnapshot({ meta, state: 0 });
        raft.compact(meta, keepEntries);
      });
    },
    addBlank: (name) => add(name, imageOf(blankStart)),
    nameOf,
    takeTrace: () => trace.splice(0),
  };
}
