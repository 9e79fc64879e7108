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
  type FaultPlan,
  keepAll,
  memoryDiskOver,
  newDirectory,
  type PowerLoss,
  type Unflushed,
} from "@tidemark/disk";
import { createManualTime, createSeededRandom, type Random } from "@tidemark/runtime";
import { asideSuffix } from "../names.ts";
import { createLogFiles } from "../open-log.ts";
import { checkRecovered, type RecoveryOptions } from "./check-recovered.ts";
import { logDirectory, openTestLog, testContext } from "./fixture.ts";
import { createDriver, type Driver, type Expected } from "./model.ts";

export interface CrashRun extends RecoveryOptions {
  readonly drive: (driver: Driver) => Promise<void>;
  /** More samples of large subsets. Default 1. */
  readonly effort?: number;
  /** Subsets of at most so many operations are all tried; of more, a sample that follows from the seed. Default 4. */
  readonly exhaustiveMax?: number;
}

export interface CrashReport {
  /** Crash points times subsets that were recovered and checked. */
  readonly states: number;
  /** What was wrong in the first state that was not sound, and where. */
  readonly violations: readonly string[];
}

const exhaustiveMaxDefault = 4;
const sampled = 6;

type TracePoint = { readonly change: Change } | { readonly expected: Expected };

/** Runs once and recovers from every crash point. */
export async function checkCrashPoints(run: CrashRun): Promise<CrashReport> {
  return recoverFrom(run, { trace: await record(run), samples: sampled * (run.effort ?? 1) });
}

/**
 * Runs again and again, and has one of the operations fail each time by which files come, go and get their names: the
 * first, the second, and so on. The power is cut there, a little later, and at the end. The device fails, or it is full, by
 * turns; with more effort both each time.
 */
export async function checkFailedOperations(run: CrashRun): Promise<CrashReport> {
  const effort = run.effort ?? 1;
  let states = 0;
  for (let operation = 0; ; operation++) {
    for (const code of ["IO", "NO_SPACE"] as const) {
      if (effort === 1 && (operation % 2 === 0) !== (code === "IO")) continue;
      const failing = await recordFailing(run, { operation, code });
      if (failing.failedAt === undefined) return { states, violations: [] };
      const { trace, failedAt: from } = failing;
      const soon = trace.slice(from).findIndex((step, index) => index >= 2 * effort && "change" in step);
      const points = new Set([from - 1, from, from + Math.max(0, soon), trace.length - 1]);
      const report = await recoverFrom(run, { trace, points, samples: effort });
      states += report.states;
      const violations = report.violations.map((what) => `${code} at operation ${operation}, ${what}`);
      if (violations.length > 0) return { states, violations };
    }
  }
}

interface Replay {
  readonly trace: readonly TracePoint[];
  /** Where the power is cut. Absent: everywhere. */
  readonly points?: ReadonlySet<number>;
  /** Subsets that are tried where there are too many. */
  readonly samples: number;
}

async function recoverFrom(run: CrashRun, { trace, points, samples }: Replay): Promise<CrashReport> {
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
    if (points?.has(point) === false) continue;
    const tries = { samples, exhaustiveMax: run.exhaustiveMax ?? exhaustiveMaxDefault };
    for (const { says, loss } of lossesOf(unflushedIn(root), random, tries)) {
      states++;
      const found = await checkRecovered(memoryDiskOver(afterPowerLoss(root, loss)), run, expected);
      violations.push(...found.map((what) => `${describe(step)} (${point}), ${says}: ${what}`));
      if (violations.length > 0) return { states, violations };
    }
  }
  return { states, violations };
}

const naming = new Set(["create", "rename", "remove", "syncDirectory", "truncate"]);
const isOnItsWay = (path: string) => path.endsWith(asideSuffix) || path.endsWith(".swap");

/** `failedAt`: where in the trace the operation failed; undefined where the run has no so many. */
async function recordFailing(
  run: CrashRun,
  { operation, code }: { readonly operation: number; readonly code: "IO" | "NO_SPACE" },
): Promise<{ readonly trace: readonly TracePoint[]; readonly failedAt: number | undefined }> {
  const trace: TracePoint[] = [];
  let left = operation;
  let failedAt: number | undefined;
  const faults: FaultPlan = ({ kind, path, bytes }) => {
    const counts = naming.has(kind) || ((kind === "write" || kind === "sync") && isOnItsWay(path));
    if (!counts || left-- !== 0) return undefined;
    failedAt = trace.length;
    return kind === "write" ? { kind: "short", bytes: bytes >> 1, code } : { kind: "fail", code };
  };
  // The run ends where the log does not go on.
  await record(run, trace, faults).catch(() => undefined);
  return { trace, failedAt };
}

async function record(
  run: CrashRun,
  trace: TracePoint[] = [],
  faults: FaultPlan = () => undefined,
): Promise<readonly TracePoint[]> {
  const time = createManualTime();
  const disk = createMemoryDisk({ onChange: (change) => trace.push({ change }) });
  await disk.makeDirectory("/data");
  await disk.syncDirectory("/");
  await createLogFiles({ context: testContext(disk, time), directory: logDirectory });
  const test = await openTestLog(disk, { ...run, time, always: faults });
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

function* lossesOf(
  unflushed: readonly Unflushed[],
  random: Random,
  { samples, exhaustiveMax }: { readonly samples: number; readonly exhaustiveMax: number },
): Generator<Loss> {
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
