import { loadCodecs } from "@tidemark/compression";
import type { Codecs } from "@tidemark/record";
import type { RandomTree } from "../engine/random-tree.ts";
import { type ScenarioName, scenarioNames } from "../faults/scenarios.ts";
import { endWithParent, type Share, tellParent } from "../node/children.ts";
import type { CoverageRecorder } from "../node/coverage.ts";
import { coreTimeMs, createLineFile, print, realTimeMs, turnOfItsOwn } from "../node/process.ts";
import { aimedPlan } from "./aimed-plan.ts";
import type { SimArguments } from "./arguments.ts";
import { isProven, provenFolders } from "./coverage-scope.ts";
import { drawPlan, type SwarmBounds } from "./plan.ts";
import { describeCoverage, describeFailure, describeRun } from "./report.ts";
import type { RunResult } from "./result.ts";
import { notStarted, simulate } from "./simulate.ts";
import { createSpanExport } from "./span-export.ts";
import { type Switch, switches } from "./switches.ts";
import type { Told } from "./tally.ts";

function boundsOf({ replicationFactor, backend, controllers, durationMs, pace, scenario }: SimArguments): SwarmBounds {
  return {
    replicationFactor,
    pace,
    ...(backend === undefined ? {} : { backend }),
    ...(controllers === undefined ? {} : { controllers }),
    ...(durationMs === undefined ? {} : { durationMs }),
    ...(scenario === undefined ? {} : { scenario }),
  };
}

/** What repeats one run. */
function lineOf(seed: number, asked: SimArguments): string {
  const { replicationFactor, backend, controllers, durationMs, pace, scenario } = asked;
  const kept = backend === undefined ? "" : ` --backend ${backend}`;
  const quorum = controllers === undefined ? "" : ` --controllers ${controllers}`;
  const length = durationMs === undefined ? "" : ` --seconds ${durationMs / 1000}`;
  const often = pace === 1 ? "" : ` --pace ${pace}`;
  const only = scenario === undefined ? "" : ` --scenario ${scenario}`;
  return `npm run sim -- --seed ${seed} --replication-factor ${replicationFactor}${kept}${quorum}${length}${often}${only}`;
}

function tell(told: Told): void {
  tellParent(told);
}

/** One run, whose spans go to a file where that is asked for. */
async function runSeed(seed: number, asked: SimArguments, codecs: Codecs): Promise<RunResult> {
  const bounds = boundsOf(asked);
  const makePlan = (random: RandomTree) => drawPlan(random, bounds);
  if (asked.spansFile === undefined) return simulate(seed, makePlan, codecs);
  const file = createLineFile(asked.spansFile);
  const spans = createSpanExport((line) => file.write(line), asked.spansFile);
  try {
    return await simulate(seed, makePlan, codecs, (span) => spans.take(span));
  } finally {
    print(spans.end());
    file.close();
  }
}

async function runSeeds(
  asked: SimArguments,
  share: Share,
  of: { readonly codecs: Codecs; readonly recorder: CoverageRecorder | undefined },
): Promise<number> {
  const { codecs, recorder } = of;
  const startedMs = realTimeMs();
  let failed = 0;
  for (
    let seed = asked.from + share.index;
    seed <= asked.to && realTimeMs() - startedMs < asked.limitMs;
    seed += share.of
  ) {
    const before = coreTimeMs();
    tell({ kind: "begin", seed });
    const result = await runSeed(seed, asked, codecs);
    const coreMs = coreTimeMs() - before;
    tell({ kind: "run", result, coreMs });
    print(describeRun(result, coreMs));
    await turnOfItsOwn();
    if (result.violations.length === 0) continue;
    failed += 1;
    print(describeFailure(result, lineOf(seed, asked)));
  }
  if (recorder !== undefined) print(describeCoverage(await recorder.take(provenFolders, isProven)));
  return failed === 0 ? 0 : 1;
}

/** How long faults are done in a run that takes a protection out, in milliseconds: a few rounds of a scenario. */
const brokenMs = 15_000;

/** What repeats one run with a protection taken out. */
function aimedLineOf(name: string, seed: number, { scenario, controllers, durationMs }: SimArguments): string {
  const quorum = controllers === undefined ? "" : ` --controllers ${controllers}`;
  const only = scenario === undefined ? "" : ` --scenario ${scenario}`;
  const length = durationMs === undefined ? "" : ` --seconds ${durationMs / 1000}`;
  return `npm run sim -- --break ${name} --seed ${seed}${quorum}${only}${length}`;
}

/** Runs a chain of faults until a seed finds that something is broken. Returns that run; undefined: none did. */
async function findBroken(aimed: Switch, asked: SimArguments, codecs: Codecs): Promise<RunResult | undefined> {
  const { broken, scenario, drawn } = aimed;
  const { from, to, limitMs, durationMs = drawn?.durationMs ?? brokenMs, controllers = drawn?.controllers } = asked;
  const of = { scenario, broken, durationMs, ...(controllers === undefined ? {} : { controllers }) };
  const plan = (random: RandomTree) =>
    drawn === undefined ? aimedPlan(random, of) : drawPlan(random, { ...drawn, ...of });
  const startedMs = realTimeMs();
  for (let seed = from; seed <= to && realTimeMs() - startedMs < limitMs; seed++) {
    const result = await simulate(seed, plan, codecs);
    if (result.violations.length > 0) return result;
  }
  return undefined;
}

/** Takes one protection out: it is well when a run finds that. */
async function isFound(name: string, asked: SimArguments, codecs: Codecs): Promise<boolean> {
  const aimed = switches.get(name);
  if (aimed === undefined) throw new Error(`There is no protection ${name}`);
  const { scenario = aimed.scenario } = asked;
  const result = await findBroken({ ...aimed, scenario }, asked, codecs);
  const [first] = result?.violations ?? [];
  if (result === undefined || first === undefined) {
    print(`${name}: NOT found by ${scenario}`);
    return false;
  }
  const line = aimedLineOf(name, result.seed, asked);
  if (first.rule === notStarted) throw new Error(describeFailure(result, line));
  print(`${name}: found by ${scenario}: ${first.rule} (${line})`);
  return true;
}

/** Takes nothing out and does the same harm: it is well when no run finds anything. */
async function isUnbroken(scenario: ScenarioName, asked: SimArguments, codecs: Codecs): Promise<boolean> {
  const drawn = [...switches.values()].find((aimed) => aimed.scenario === scenario)?.drawn;
  const result = await findBroken({ broken: {}, scenario, ...(drawn && { drawn }) }, asked, codecs);
  if (result === undefined) print(`${scenario}: breaks no promise`);
  else print(describeFailure(result, aimedLineOf("nothing", result.seed, { ...asked, scenario })));
  return result === undefined;
}

function checksOf(name: string, asked: SimArguments, codecs: Codecs): readonly (() => Promise<boolean>)[] {
  if (name === "nothing") {
    const harms = asked.scenario === undefined ? scenarioNames : [asked.scenario];
    return harms.map((scenario) => () => isUnbroken(scenario, asked, codecs));
  }
  const names = name === "all" ? [...switches.keys()] : [name];
  return names.map((each) => () => isFound(each, asked, codecs));
}

async function runSwitches(name: string, asked: SimArguments, share: Share, codecs: Codecs): Promise<number> {
  let missed = 0;
  for (const [index, check] of checksOf(name, asked, codecs).entries()) {
    if (index % share.of !== share.index) continue;
    const isRight = await check();
    tell({ kind: "switch", isRight });
    if (!isRight) missed += 1;
  }
  return missed === 0 ? 0 : 1;
}

/** Runs this process's share of what is asked for. `recorder`: of the lines that are run. Resolves to the exit code. */
export async function runCommand(
  asked: SimArguments,
  share: Share,
  recorder: CoverageRecorder | undefined,
): Promise<number> {
  endWithParent();
  const { codecs } = await loadCodecs();
  if (asked.broken !== undefined) return runSwitches(asked.broken, asked, share, codecs);
  return runSeeds(asked, share, { codecs, recorder });
}
