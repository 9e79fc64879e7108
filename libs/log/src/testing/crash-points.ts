/**
 * Every crash point of a run: for each prefix of the changes that a log makes to its disk, and for subsets of those that
 * no sync had made durable, the last write also torn, the log is recovered and checked.
 */
import {
  afterPowerLoss,
  applyChange,
  type Change,
  createMemoryDisk,
  type Fate,
  keepAll,
  memoryDiskOver,
  newDirectory,
  type PowerLoss,
  type Unflushed,
} from "@tidemark/disk";
import { createManualTime, createSeededRandom, type Random } from "@tidemark/runtime";
import { createLogFiles } from "../open-log.ts";
import { checkRecovered, type RecoveryOptions } from "./check-recovered.ts";
import { logDirectory, openTestLog, testContext } from "./fixture.ts";
import { createDriver, type Driver, type Expected } from "./model.ts";

export interface CrashRun extends RecoveryOptions {
  readonly drive: (driver: Driver) => Promise<void>;
  /** More samples of large subsets. Default 1. */
  readonly effort?: number;
}

export interface CrashReport {
  /** Crash points times subsets that were recovered and checked. */
  readonly states: number;
  /** What was wrong in the first state that was not sound, and where. */
  readonly violations: readonly string[];
}

/** Subsets of at most so many operations are all tried; of more, a sample that follows from the seed. */
const exhaustiveMax = 4;
const sampled = 6;

type TracePoint = { readonly change: Change } | { readonly expected: Expected };

/** Runs once and recovers from every crash point. */
export async function checkCrashPoints(run: CrashRun): Promise<CrashReport> {
  const trace = await record(run);
  const random = createSeededRandom(trace.length);
  const root = newDirectory();
  const violations: string[] = [];
  let states = 0;
  let expected: Expected | undefined;
  for (const [point, step] of trace.entries()) {
    if ("change" in step) applyChange(root, step.change);
    else expected = step.expected;
    // What was told before the next change holds at this crash point too.
    const next = trace[point + 1];
    if (expected === undefined || (next !== undefined && "expected" in next)) continue;
    for (const { says, loss } of lossesOf(unflushedIn(root), random, sampled * (run.effort ?? 1))) {
      states++;
      const found = await checkRecovered(memoryDiskOver(afterPowerLoss(root, loss)), run, expected);
      violations.push(...found.map((what) => `${describe(step)} (${point}), ${says}: ${what}`));
      if (violations.length > 0) return { states, violations };
    }
  }
  return { states, violations };
}

async function record(run: CrashRun): Promise<readonly TracePoint[]> {
  const trace: TracePoint[] = [];
  const time = createManualTime();
  const disk = createMemoryDisk({ onChange: (change) => trace.push({ change }) });
  await disk.makeDirectory("/data");
  await disk.syncDirectory("/");
  await createLogFiles({ context: testContext(disk, time), directory: logDirectory });
  const test = await openTestLog(disk, { ...run, time });
  await run.drive(createDriver(test, (expected) => trace.push({ expected })));
  return trace;
}

/** What no sync has made durable, in the order in which a power loss asks for it. */
function unflushedIn(root: Parameters<typeof afterPowerLoss>[0]): readonly Unflushed[] {
  const found: Unflushed[] = [];
  afterPowerLoss(root, (unflushed) => {
    found.push(unflushed);
    return { kind: "kept" };
  });
  return found;
}

interface Loss {
  readonly says: string;
  readonly loss: PowerLoss;
}

function* lossesOf(unflushed: readonly Unflushed[], random: Random, samples: number): Generator<Loss> {
  const count = unflushed.length;
  if (count <= exhaustiveMax) {
    for (let subset = 0; subset < 2 ** count; subset++) {
      const kept = unflushed.filter((_, index) => (subset >> index) & 1);
      yield { says: saysOf(kept, count), loss: keeping(new Set(kept.map(operationOf))) };
    }
  } else {
    yield { says: `nothing kept of ${count}`, loss: keeping(new Set()) };
    yield { says: "everything kept", loss: keepAll };
    for (let sample = 0; sample < samples; sample++) {
      const share = random.next();
      const kept = unflushed.filter(() => random.next() < share);
      yield { says: saysOf(kept, count), loss: keeping(new Set(kept.map(operationOf))) };
    }
  }
  const last = unflushed.findLast(({ of, operation }) => of === "file" && operation.kind === "write");
  if (last === undefined) return;
  const others = new Set(unflushed.filter((other) => other !== last).map(operationOf));
  for (const parity of [0, 1]) {
    const torn: Fate = { kind: "torn", reached: (sector) => sector % 2 === parity };
    yield {
      says: `the last write torn, ${parity === 0 ? "even" : "odd"} sectors kept`,
      loss: (asked) => (operationOf(asked) === last.operation ? torn : keeping(others)(asked)),
    };
  }
}

function operationOf({ operation }: Unflushed): unknown {
  return operation;
}

function keeping(kept: ReadonlySet<unknown>): PowerLoss {
  return (asked) => ({ kind: kept.has(asked.operation) ? "kept" : "dropped" });
}

function saysOf(kept: readonly Unflushed[], count: number): string {
  const names = kept.map(({ path, operation }) => `${operation.kind} ${path.slice(path.lastIndexOf("/") + 1)}`);
  return `${kept.length} of ${count} kept (${names.join(", ")})`;
}

function describe(step: TracePoint): string {
  if ("expected" in step) return "after an answer";
  const { change } = step;
  return `after ${change.kind} ${"path" in change ? change.path : change.from}`;
}
