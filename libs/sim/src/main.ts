/** `npm run sim`: whole clusters in one process, from a seed each. */
import process from "node:process";
import { loadCodecs } from "@tidemark/compression";
import type { Codecs } from "@tidemark/record";
import { type ScenarioName, scenarioNames } from "./faults/scenarios.ts";
import { recordCoverage } from "./node/coverage.ts";
import { coreTimeMs, print, realTimeMs } from "./node/process.ts";
import { aimedPlan } from "./runs/aimed-plan.ts";
import { readArguments, type SimArguments } from "./runs/arguments.ts";
import { drawPlan, type SwarmBounds } from "./runs/plan.ts";
import { describeCoverage, describeFailure, describeRun, describeSwarm } from "./runs/report.ts";
import type { RunResult } from "./runs/result.ts";
import { notStarted, simulate } from "./runs/simulate.ts";
import { type Switch, switches } from "./runs/switches.ts";

function boundsOf({ replicationFactor, controllers, durationMs, pace, scenario }: SimArguments): SwarmBounds {
  return {
    replicationFactor,
    pace,
    ...(controllers === undefined ? {} : { controllers }),
    ...(durationMs === undefined ? {} : { durationMs }),
    ...(scenario === undefined ? {} : { scenario }),
  };
}

/** What the simulator is to prove: the protocol and its drivers, without their tests and adapters. */
function isProven(path: string): boolean {
  const isOf = ["libs/replication/", "libs/metadata/", "libs/log/", "services/broker/", "services/controller/"];
  const isLeftOut = /\/(?:testing|simulation|dump|tracing|node)\/|\.test\.ts$|\/main\.ts$/.test(path);
  return isOf.some((prefix) => path.startsWith(prefix)) && !isLeftOut;
}

/** What repeats one run. */
function lineOf(seed: number, asked: SimArguments): string {
  const { replicationFactor, controllers, durationMs, pace, scenario } = asked;
  const quorum = controllers === undefined ? "" : ` --controllers ${controllers}`;
  const length = durationMs === undefined ? "" : ` --seconds ${durationMs / 1000}`;
  const often = pace === 1 ? "" : ` --pace ${pace}`;
  const only = scenario === undefined ? "" : ` --scenario ${scenario}`;
  return `npm run sim -- --seed ${seed} --replication-factor ${replicationFactor}${quorum}${length}${often}${only}`;
}

async function runSeeds(asked: SimArguments, codecs: Codecs): Promise<number> {
  const bounds = boundsOf(asked);
  const recorder = asked.isCovered ? await recordCoverage() : undefined;
  const startedMs = realTimeMs();
  const results: RunResult[] = [];
  let coreMs = 0;
  for (let seed = asked.from; seed <= asked.to && realTimeMs() - startedMs < asked.limitMs; seed++) {
    const before = coreTimeMs();
    const result = await simulate(seed, (random) => drawPlan(random, bounds), codecs);
    const took = coreTimeMs() - before;
    coreMs += took;
    results.push(result);
    print(describeRun(result, took));
    if (result.violations.length > 0) print(describeFailure(result, lineOf(seed, asked)));
  }
  if (results.length > 1) print(describeSwarm(results, coreMs));
  if (recorder !== undefined) print(describeCoverage(await recorder.take(isProven)));
  return results.some(({ violations }) => violations.length > 0) ? 1 : 0;
}

/** How long faults are done in a run that takes a protection out, in milliseconds: a few rounds of a scenario. */
const brokenMs = 15_000;

/** What repeats one run with a protection taken out. */
function aimedLineOf(name: string, seed: number, { scenario, durationMs }: SimArguments): string {
  const only = scenario === undefined ? "" : ` --scenario ${scenario}`;
  const length = durationMs === undefined ? "" : ` --seconds ${durationMs / 1000}`;
  return `npm run sim -- --break ${name} --seed ${seed}${only}${length}`;
}

/** Runs a chain of faults until a seed finds that something is broken. Returns that run; undefined: none did. */
async function findBroken(
  aimed: Pick<Switch, "broken" | "scenario">,
  { from, to, limitMs, durationMs = brokenMs }: SimArguments,
  codecs: Codecs,
): Promise<RunResult | undefined> {
  const startedMs = realTimeMs();
  for (let seed = from; seed <= to && realTimeMs() - startedMs < limitMs; seed++) {
    const result = await simulate(seed, (random) => aimedPlan(random, { ...aimed, durationMs }), codecs);
    if (result.violations.length > 0) return result;
  }
  return undefined;
}

/** Takes one protection out: it is well when a run finds that. */
async function isFound(name: string, asked: SimArguments, codecs: Codecs): Promise<boolean> {
  const aimed = switches.get(name);
  if (aimed === undefined) throw new Error(`There is no protection ${name}`);
  const { scenario = aimed.scenario } = asked;
  const result = await findBroken({ broken: aimed.broken, scenario }, asked, codecs);
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
  const result = await findBroken({ broken: {}, scenario }, asked, codecs);
  if (result === undefined) print(`${scenario}: breaks no promise`);
  else print(describeFailure(result, aimedLineOf("nothing", result.seed, { ...asked, scenario })));
  return result === undefined;
}

async function runSwitches(name: string, asked: SimArguments, codecs: Codecs): Promise<number> {
  const checks =
    name === "nothing"
      ? (asked.scenario === undefined ? scenarioNames : [asked.scenario]).map(
          (each) => () => isUnbroken(each, asked, codecs),
        )
      : (name === "all" ? [...switches.keys()] : [name]).map((each) => () => isFound(each, asked, codecs));
  let missed = 0;
  for (const check of checks) if (!(await check())) missed += 1;
  if (checks.length > 1) print(`${checks.length - missed} of ${checks.length} as it should be`);
  return missed === 0 ? 0 : 1;
}

function readOrEnd(): SimArguments {
  try {
    return readArguments(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
}

const asked = readOrEnd();
const { codecs } = await loadCodecs();
process.exitCode = await (asked.broken === undefined
  ? runSeeds(asked, codecs)
  : runSwitches(asked.broken, asked, codecs));
