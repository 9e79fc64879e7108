/**
 * Three voters with a candidate each, and a fourth node with an empty directory that nobody has added, as the contract's
 * suite wants them. The nodes run from the beginning; a candidate begins when it is started.
 */
import { crc32c } from "@tidemark/compression";
import {
  type CandidateIdentity,
  type Consensus,
  type EventSink,
  LinkLostError,
  type MemberChange,
  type StoreAnswer,
  type StoreRequest,
} from "@tidemark/consensus";
import type { CandidateNumber, ConsensusCluster, MemberCluster } from "@tidemark/consensus/contract";
import type { Disk } from "@tidemark/disk";
import { controllerId, directoryId } from "@tidemark/ids";
import type { NodeId } from "@tidemark/raft";
import type { Runtime } from "@tidemark/runtime";
import { formatAddress } from "../node/address.ts";
import type { NodeEvent } from "../node/events.ts";
import { submit } from "../node/submit.ts";
import type { NodeTiming } from "../node/timing.ts";
import type { Transport } from "../node/transport.ts";
import { openRaftStore, type RaftStore } from "../open.ts";
import { formatDirectory } from "../storage/format.ts";
import { createProcessGate, gatedRuntime, gatedTransport, type ProcessGate } from "./process-gate.ts";
import { createRequestFaults, type RequestFaults } from "./request-faults.ts";

/** The disk of one node, across its processes. */
export interface NodeHome {
  readonly directory: string;
  /** The disk as the next process has it. */
  attach(): Disk;
  /** The process that had it is gone. */
  kill(): void;
  powerCut(): void;
  /** Everything on it is gone. */
  lose(): void | Promise<void>;
}

export interface NodePlaces {
  home(node: number): NodeHome;
  /** How a new process of the node is reached, and reaches the others. */
  transport(node: number, id: NodeId): Transport | Promise<Transport>;
  /** Its process is gone: its connections are reset. */
  vanished(node: number, id: NodeId): void;
  close(): Promise<void>;
}

export interface RaftClusterOptions {
  readonly runtime: Runtime;
  readonly places: NodePlaces;
  /** Lets everything that can go on do so. */
  readonly turn: () => Promise<void>;
  /** How long `until` waits, in milliseconds. */
  readonly patienceMs: number;
  readonly timing?: NodeTiming;
  /** The first node does not wait for its election timeout when all of them start. */
  readonly electsAtOnce?: boolean;
  readonly onEvent?: EventSink;
  readonly onNodeEvent?: (node: number, event: NodeEvent) => void;
}

/** The nodes as tests of the backend itself see them. */
export interface RaftCluster extends MemberCluster {
  readonly stores: () => ReadonlyMap<number, RaftStore>;
  /** Of the candidates, and of the node that nobody has added. */
  cut(node: number): void;
  heal(node: number): void;
  /** Starts the node again, without a candidate. */
  restartNode(node: number): Promise<void>;
}

/** Which node the contract's suite adds. */
export const spareNode = 9;

/** `disk`: which of the disks that it had. */
export function identityOf(node: number, disk = 0): CandidateIdentity {
  return {
    controllerId: controllerId(node),
    directoryId: directoryId(`00000000-0000-4000-800${disk}-00000000000${node}`),
    endpoint: `controller-${node}.test:4650`,
  };
}

interface NodeProcess {
  readonly gate: ProcessGate;
  readonly faults: RequestFaults;
  readonly runtime: Runtime;
  readonly store: RaftStore;
  candidate: Consensus | undefined;
}

interface State extends RaftClusterOptions {
  readonly processes: Map<number, NodeProcess>;
  /** How often a node was replaced by one with another disk. */
  readonly disks: Map<number, number>;
}

function currentIdentity({ disks }: State, node: number): CandidateIdentity {
  return identityOf(node, disks.get(node));
}

export async function createRaftCluster(options: RaftClusterOptions): Promise<RaftCluster> {
  const state: State = { ...options, processes: new Map(), disks: new Map() };
  const nodes = [1, 2, 3] as const;
  const voters = nodes.map((node) => ({ id: identityOf(node).directoryId, address: formatAddress(identityOf(node)) }));
  for (const node of nodes) {
    const home = options.places.home(node);
    const identity = { directoryId: identityOf(node).directoryId, clusterId: "cluster" };
    await formatDirectory({ disk: home.attach(), directory: home.directory, crc32c, identity, voters });
  }
  await startNodes(state, [...nodes, spareNode]);

  return {
    ...faultsOf(state),
    managesMembers: true,
    stores: () => new Map([...state.processes].map(([node, { store }]) => [node, store])),
    restartNode: (node) => startNode(state, node),
    async loseDisk(node) {
      killNode(state, node);
      await options.places.home(node).lose();
    },
    replaceMember: (node) => whileTimePasses(state, replaceMember(state, node)),
    identity: (candidate) => currentIdentity(state, candidate),
    async start(candidate) {
      if (!state.processes.has(candidate)) await startNode(state, candidate);
      return startCandidate(state, candidate);
    },
    async powerCut() {
      const running = [...state.processes.keys()];
      for (const node of running) killNode(state, node);
      for (const node of running) options.places.home(node).powerCut();
      await startNodes(state, running);
    },
    async compact() {
      for (const { store, gate } of state.processes.values()) {
        if (gate.mode() !== "open") continue;
        store.node.applier.forgetHistory();
        await store.node.snapshots.make(0);
      }
    },
    async until(condition, what) {
      const giveUpAt = options.runtime.clock.monotonicMs() + options.patienceMs;
      while (!condition()) {
        if (options.runtime.clock.monotonicMs() > giveUpAt) throw new Error(`Not reached: ${what}`);
        await options.turn();
      }
    },
    close: () => close(state),
  };
}

async function startNodes(state: State, nodes: readonly number[]): Promise<void> {
  for (const node of nodes) await startNode(state, node);
  if (state.electsAtOnce !== true) return;
  const [voter] = nodes
    .map((node) => processOf(state, node).store.node)
    .filter(({ id, raft }) => raft.status().membership.voters.some((member) => member.id === id));
  while (voter?.raft.status().role === "follower") voter.raft.tick();
  voter?.pump();
}

async function startNode(state: State, node: number): Promise<void> {
  const gate = createProcessGate();
  const runtime = gatedRuntime(state.runtime, gate);
  const { directoryId: id } = currentIdentity(state, node);
  const home = state.places.home(node);
  const transport = await state.places.transport(node, id);
  const store = await openRaftStore({
    disk: home.attach(),
    directory: home.directory,
    directoryId: id,
    clusterId: undefined,
    transport: gatedTransport(transport, gate, runtime),
    crc32c,
    runtime,
    ...(state.timing === undefined ? {} : { timing: state.timing }),
    ...(state.onEvent === undefined ? {} : { onEvent: state.onEvent }),
    onNodeEvent: (event) => state.onNodeEvent?.(node, event),
  });
  state.processes.set(node, {
    gate,
    faults: createRequestFaults(gate, runtime.scheduler),
    runtime,
    store,
    candidate: undefined,
  });
}

function startCandidate(state: State, node: number): Consensus {
  const process = processOf(state, node);
  const consensus = process.store.candidate((link) => process.faults.wrap(link));
  process.candidate = consensus;
  return consensus;
}

function processOf({ processes }: State, node: number): NodeProcess {
  const process = processes.get(node);
  if (process === undefined) throw new Error(`Node ${node} does not run`);
  return process;
}

function killNode(state: State, node: number): void {
  processOf(state, node).gate.set("dead");
  state.processes.delete(node);
  state.places.home(node).kill();
  state.places.vanished(node, currentIdentity(state, node).directoryId);
}

/** Another disk, under an id of its own: the old member is removed and the new one added. */
async function replaceMember(state: State, node: number): Promise<void> {
  const old = currentIdentity(state, node);
  state.disks.set(node, (state.disks.get(node) ?? 0) + 1);
  await startNode(state, node);
  await changeUntilDone(state, { kind: "removeVoter", ...old });
  await changeUntilDone(state, { kind: "addVoter", member: currentIdentity(state, node) });
}

async function changeUntilDone(state: State, change: MemberChange): Promise<void> {
  for (;;) {
    const leader = [...state.processes.values()].find(({ store }) => store.node.lease.term() !== undefined);
    const outcome = await leader?.candidate?.changeMembers(change);
    if (outcome?.kind === "changed") return;
    if (outcome?.kind === "refused" && outcome.reason === "INVALID_MEMBER") throw new Error(outcome.message);
    await new Promise<void>((resolve) => state.runtime.scheduler.after(50, resolve));
  }
}

/** Brings a request in through a node that is reached, in the name of another one's session. */
async function deliver(state: State, session: string, request: StoreRequest): Promise<StoreAnswer> {
  const [through] = [...state.processes.values()].filter(({ gate }) => gate.mode() === "open");
  if (through === undefined) throw new Error("Nobody runs through whom a request could be brought in");
  try {
    return await submit(through.store.node, { kind: "request", session, request }, new AbortController().signal);
  } catch (error) {
    if (error instanceof LinkLostError) return deliver(state, session, request);
    throw error;
  }
}

/** The newest session of a node, as the others have it. */
function sessionOf(state: State, node: number): string {
  for (const { store } of state.processes.values()) {
    for (const [session, of] of store.node.replica.sessions()) {
      if (of === currentIdentity(state, node).directoryId) return session;
    }
  }
  return "";
}

type Faults = Pick<
  ConsensusCluster,
  | "kill"
  | "stall"
  | "resume"
  | "cut"
  | "heal"
  | "holdWatch"
  | "releaseWatch"
  | "loseNextRequest"
  | "loseNextAnswer"
  | "delayNextRequest"
  | "plant"
>;

function faultsOf(state: State): Faults {
  const of = (candidate: CandidateNumber) => processOf(state, candidate);
  return {
    kill: (candidate) => killNode(state, candidate),
    stall: (candidate) => of(candidate).gate.set("stalled"),
    resume: (candidate) => of(candidate).gate.set("open"),
    cut: (candidate) => of(candidate).gate.set("cut"),
    heal: (candidate) => of(candidate).gate.set("open"),
    holdWatch: (candidate) => of(candidate).faults.holdFeed(),
    releaseWatch: (candidate) => of(candidate).faults.releaseFeed(),
    loseNextRequest: (candidate) => of(candidate).faults.loseNextRequest(),
    loseNextAnswer: (candidate) => of(candidate).faults.loseNextAnswer(),
    delayNextRequest(candidate, sender = "deadline") {
      const session = sessionOf(state, candidate);
      return of(candidate).faults.delayNext(sender, (request) => deliver(state, session, request));
    },
    async plant(key, value, { heldBy } = {}) {
      const session = heldBy === undefined ? "" : sessionOf(state, heldBy);
      const changes = [{ kind: "put", key, value, ephemeral: heldBy !== undefined }] as const;
      await whileTimePasses(state, deliver(state, session, { guards: [], batches: [changes] }));
    },
  };
}

/** Waits for what is no wait of the suite's own: time has to pass for it here. */
async function whileTimePasses(state: State, delivering: Promise<unknown>): Promise<void> {
  const progress = { isDone: false };
  const done = () => {
    progress.isDone = true;
  };
  delivering.then(done, done);
  while (!progress.isDone) await state.turn();
  await delivering;
}

async function close(state: State): Promise<void> {
  for (const { gate } of state.processes.values()) gate.set("open");
  for (const { candidate } of state.processes.values()) {
    if (candidate !== undefined) await whileTimePasses(state, candidate.close());
  }
  for (const { store } of state.processes.values()) await whileTimePasses(state, store.close());
  await state.places.close();
}
