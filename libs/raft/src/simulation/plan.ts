/**
 * The shape of one run, drawn from its seed: every run has its own sizes, its own speed, and its own mix of faults, so that
 * some runs do a lot of one thing (swarm testing).
 */
import type { Limits } from "../options.ts";
import type { Draw } from "./random.ts";

export const faultKinds = [
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

export function drawPlan(draw: Draw): Plan {
  const some = faultKinds.filter(() => draw.chance(0.6));
  const faults = some.length < 4 ? faultKinds : some;
  const hasLostDisk = faults.includes("lostDisk");
  const changes = hasLostDisk || draw.chance(0.6);
  return {
    voters: draw.chance(0.5) ? 3 : 5,
    faults,
    faultGapMs: draw.between(1500, 6000),
    faultLengthMs: draw.between(300, 4000),
    proposalGapMs: draw.between(20, 120),
    readGapMs: draw.between(100, 400),
    changeGapMs: changes ? draw.between(300, 4000) : 0,
    changeAtElection: changes && draw.chance(0.5) ? 0.7 : 0,
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
