/**
 * A whole cluster in one thread, from one seed: the real `Raft`, and around it a clock, a network and disks that fail. The
 * invariants are checked as things happen; at the end everything is healed, and the cluster has to come together.
 */

import { createLedger } from "../checks/ledger.ts";
import { Violation } from "../checks/violation.ts";
import type { Guards } from "../guards.ts";
import { blankStart, formattedStart } from "../start-state.ts";
import { imageOf } from "./disk.ts";
import { createEventQueue } from "./event-queue.ts";
import { directoryIdOf } from "./names.ts";
import { startNemesis, strike, strikeVoter } from "./nemesis.ts";
import { createNetwork } from "./network.ts";
import { createNode, type SimulatedNode } from "./node.ts";
import { drawPlan } from "./plan.ts";
import { createDraw } from "./random.ts";
import { changeMembership, startWorkload } from "./workload.ts";
import type { World } from "./world.ts";

export interface SimulationOptions {
  readonly seed: number;
  /** Rules to switch off. */
  readonly guards?: Partial<Guards>;
  /** False: leaves out the check of what is sent, to see what would follow from it in the end. */
  readonly checksSends?: boolean;
  /** Receives what happens, line by line. */
  readonly onTrace?: (line: string) => void;
}

export interface SimulationResult {
  readonly seed: number;
  /** The same for the same seed. */
  readonly traceHash: number;
  readonly violation: Violation | undefined;
  readonly simulatedMs: number;
  readonly committed: number;
  readonly elections: number;
  readonly faults: number;
  readonly faultKinds: number;
  readonly reads: number;
  readonly changes: number;
  readonly snapshots: number;
  /** Whether enough happened for the run to say something. */
  readonly counts: boolean;
}

/** What a run has to have seen to count. */
export const enough = { simulatedMs: 60_000, committed: 300, faults: 5, faultKinds: 3, elections: 3 } as const;

const longestMs = 120_000;
const convergenceMs = 30_000;
const spareSlots = 2;

export function simulate(options: SimulationOptions): SimulationResult {
  let hash = 0x811c9dc5;
  const { onTrace } = options;
  const world = createWorld(options, (code, left, right, line) => {
    hash = Math.imul(hash ^ (code + left * 131 + right * 524_287 + world.queue.now()), 0x01000193) >>> 0;
    onTrace?.(`${String(world.queue.now())} ${line()}`);
  });
  const violation = run(world);
  const faults = [...world.counts.faults.values()].reduce((sum, count) => sum + count, 0);
  const measured = {
    simulatedMs: world.queue.now(),
    committed: world.ledger.committed(),
    faults,
    faultKinds: world.counts.faults.size,
    elections: world.ledger.elections(),
  };
  return {
    seed: options.seed,
    traceHash: hash,
    violation,
    ...measured,
    reads: world.counts.reads,
    changes: world.counts.changes,
    snapshots: world.counts.snapshots,
    counts: isEnough(measured),
  };
}

function isEnough(measured: Record<keyof typeof enough, number>): boolean {
  return (
    measured.simulatedMs >= enough.simulatedMs &&
    measured.committed >= enough.committed &&
    measured.faults >= enough.faults &&
    measured.faultKinds >= enough.faultKinds &&
    measured.elections >= enough.elections
  );
}

function createWorld(options: SimulationOptions, trace: World["trace"]): World {
  const draw = createDraw(options.seed);
  const plan = drawPlan(draw);
  const slots = new Map<string, number>();
  const ghosts = new Map<string, SimulatedNode["disk"]["durable"]>();
  const freshId: World["freshId"] = (slot) => {
    const id = directoryIdOf(slots.size + 1);
    slots.set(id, slot);
    return id;
  };
  const first = Array.from({ length: plan.voters }, (_, slot) => ({
    id: freshId(slot),
    address: `slot ${String(slot)}`,
  }));
  const start = formattedStart(first);
  const world: World = {
    queue: createEventQueue(),
    draw,
    plan,
    guards: options.guards ?? {},
    checksSends: options.checksSends ?? true,
    ledger: createLedger(start.snapshot.index),
    network: createNetwork(),
    nodes: [],
    counts: { reads: 0, changes: 0, snapshots: 0, faults: new Map() },
    calm: false,
    lost: undefined,
    trace,
    freshId,
    slotOf: (id) => slots.get(id) ?? 0,
    durableOf: (id) => ghosts.get(id) ?? world.nodes.find((node) => node.id === id)?.disk.durable,
    remember(id, image) {
      if (options.guards?.emptyDiskNeverVotes !== false) ghosts.set(id, image);
    },
    reaches(node, moment) {
      if (world.calm) return;
      if (draw.chance(plan.strikes[moment])) (moment === "vote" ? strikeVoter : strike)(world, node);
      if (moment === "election" && draw.chance(plan.changeAtElection))
        world.queue.after(draw.between(0, 5), () => changeMembership(world, node));
    },
  };
  for (let slot = 0; slot < plan.voters + spareSlots; slot++) {
    const member = first[slot];
    const image = imageOf(member === undefined ? blankStart : start);
    const node = createNode(world, slot, member?.id ?? freshId(slot), image, draw.between(85, 115) / 100);
    world.nodes.push(node);
  }
  return world;
}

/** Runs to the end, or to the first violation. */
function run(world: World): Violation | undefined {
  let untilMs: number = enough.simulatedMs;
  for (const node of world.nodes.slice(0, world.plan.voters)) node.start();
  startNemesis(world);
  startWorkload(world, () => untilMs);
  try {
    while (world.queue.now() < untilMs) {
      world.queue.runNext();
      if (world.queue.now() >= untilMs && untilMs < longestMs && world.ledger.committed() < enough.committed) {
        untilMs = Math.min(longestMs, untilMs + 5000);
      }
    }
    world.calm = true;
    comeTogether(world);
    return undefined;
  } catch (error) {
    if (error instanceof Violation) return error;
    return new Violation("node does not stop", error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}

/** Heals everything, and waits until the members agree. */
function comeTogether(world: World): void {
  const { queue, network } = world;
  const untilMs = queue.now() + convergenceMs;
  while (queue.now() < untilMs) {
    network.healAll();
    for (const node of world.nodes) {
      node.slowDisk = false;
      node.crashPoint = undefined;
      node.resume();
      if (node.life > 0) node.start();
    }
    const checkAtMs = queue.now() + 200;
    while (queue.now() < checkAtMs) queue.runNext();
    if (isTogether(world)) return;
  }
  throw new Violation("converges", `no agreement within ${String(convergenceMs)} ms after everything was healed`);
}

function isTogether(world: World): boolean {
  const [leader, ...others] = world.nodes
    .filter((node) => node.role === "leader")
    .sort((left, right) => right.term - left.term);
  if (leader === undefined || others.length > 0) return false;
  const last = leader.raft?.status().last.index;
  const { voters, learners } = leader.membership;
  return [...voters, ...learners]
    .filter((member) => member.id !== world.lost?.lostId)
    .map((member) => world.nodes.find((node) => node.id === member.id))
    .every(
      (node) =>
        node !== undefined &&
        node.applied.index === last &&
        node.committed === last &&
        node.membership === leader.membership,
    );
}
