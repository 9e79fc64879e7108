/**
 * The shape of one run, drawn from its seed: every run has its own sizes, its own speed, and its own mix of faults, so that
 * some runs do a lot of one thing (swarm testing).
 */
import type { Limits } from "../options.ts";
import type { Draw } from "./random.ts";

const faultKinds = [
  "crash",
  "crashBetween",
  "crashAll",
  "pause",
  "partition",
  "isolateLeader",
  "oneWayCut",
  "loss",
  "delay",
  "doubling",
  "slowDisk",
  "lostDisk",
] as const;

export type FaultKind = (typeof faultKinds)[number];

/**
 * When a node's fall is most likely to find a gap: it voted, it was elected, it committed for the first time as a leader,
 * it changed the membership.
 */
export type Moment = "vote" | "election" | "firstCommit" | "change";

export interface Plan {
  readonly voters: number;
  readonly faults: readonly FaultKind[];
  /** Between two faults, at most. */
  readonly faultGapMs: number;
  readonly faultLengthMs: number;
  readonly proposalGapMs: number;
  readonly readGapMs: number;
  /** Between two attempts at a membership change. 0: none. */
  readonly changeGapMs: number;
  /** Share of new leaders that are asked for a membership change at once. */
  readonly changeAtElection: number;
  /** Share of moments of each kind at which a node is struck by a fault, a few messages later. */
  readonly strikes: Readonly<Record<Moment, number>>;
  readonly transferGapMs: number;
  readonly delayMsMax: number;
  readonly flushMsMax: number;
  /** Whether messages leave before the write of the same ready is begun. */
  readonly sendsFirst: boolean;
  /** Entries between two snapshots of one node. */
  readonly snapshotEvery: number;
  readonly keepEntries: number;
  readonly snapshotBytes: number;
  readonly limits: Partial<Limits>;
}

/** Three of five runs do everything; the others do what hides best, and much of it. */
export function drawPlan(draw: Draw): Plan {
  const plan = drawMixed(draw);
  switch (draw.between(0, 4)) {
    case 0:
      return leadersComeAndGo(plan, draw);
    case 1:
      return membersComeAndGo(plan, draw);
    default:
      return plan;
  }
}

/** Leaders that fall as soon as some of their entries have arrived somewhere (figure 8 of the paper). */
function leadersComeAndGo(plan: Plan, draw: Draw): Plan {
  return {
    ...plan,
    voters: 5,
    faults: ["crash", "isolateLeader", "partition", "crashAll"],
    faultLengthMs: draw.between(800, 3000),
    proposalGapMs: draw.between(20, 60),
    changeGapMs: 0,
    changeAtElection: 0,
    delayMsMax: draw.between(10, 40),
    strikes: { vote: 0.1, election: 0.5, firstCommit: 0.7, change: 0 },
    limits: { ...plan.limits, appendBytesMax: 33, inflightMessagesMax: 1, uncommittedBytesMax: 2000 },
  };
}

/** Changes that are proposed at the first moment, by leaders that fall at the next one. */
function membersComeAndGo(plan: Plan, draw: Draw): Plan {
  return {
    ...plan,
    voters: 4,
    faults: ["crash", "partition", "isolateLeader", "oneWayCut", "pause"],
    faultLengthMs: draw.between(800, 4000),
    changeGapMs: draw.between(30, 200),
    changeAtElection: 0.9,
    delayMsMax: draw.between(10, 40),
    strikes: { vote: 0, election: 0.3, firstCommit: 0, change: 0.7 },
  };
}

function drawMixed(draw: Draw): Plan {
  const some = faultKinds.filter(() => draw.chance(0.6));
  const faults = some.length < 4 ? faultKinds : some;
  const hasLostDisk = faults.includes("lostDisk");
  const changes = hasLostDisk || draw.chance(0.6);
  return {
    voters: draw.chance(0.5) ? 3 : 5,
    faults,
    faultGapMs: draw.between(1500, 6000),
    faultLengthMs: draw.between(300, 4000),
    proposalGapMs: draw.between(40, 200),
    readGapMs: draw.between(100, 400),
    changeGapMs: changes ? draw.between(300, 4000) : 0,
    changeAtElection: changes && draw.chance(0.5) ? 0.7 : 0,
    strikes: {
      vote: draw.chance(0.3) ? 0.1 : 0,
      election: draw.chance(0.3) ? 0.4 : 0,
      firstCommit: draw.chance(0.3) ? 0.6 : 0,
      change: draw.chance(0.3) ? 0.5 : 0,
    },
    transferGapMs: draw.between(4000, 15_000),
    delayMsMax: draw.between(2, 20),
    flushMsMax: draw.between(2, 25),
    sendsFirst: draw.chance(0.5),
    snapshotEvery: draw.between(15, 150),
    keepEntries: draw.between(0, 30),
    snapshotBytes: draw.between(8, 200),
    limits: {
      appendBytesMax: draw.chance(0.5) ? 64 : 4096,
      inflightMessagesMax: draw.between(1, 16),
      inflightBytesMax: draw.between(128, 4096),
      snapshotChunkBytesMax: draw.between(16, 64),
    },
  };
}
