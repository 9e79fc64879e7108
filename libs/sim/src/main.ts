/** `npm run sim`: whole clusters in one process, from a seed each. */
import process from "node:process";
import { loadCodecs } from "@tidemark/compression";
import type { Codecs } from "@tidemark/record";
import { recordCoverage } from "./node/coverage.ts";
import { coreTimeMs, print, realTimeMs } from "./node/process.ts";
import { readArguments, type SimArguments } from "./runs/arguments.ts";
import { drawPlan, type SwarmBounds } from "./runs/plan.ts";
import { describeCoverage, describeFailure, describeRun, describeSwarm } from "./runs/report.ts";
import type { RunResult } from "./runs/result.ts";
import { notStarted, simulate } from "./runs/simulate.ts";
import { switches } from "./runs/switches.ts";

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

/** What the simulator is to prove: the protocol and its drivers, without their tests and adapters. */
function isProven(path: string): boolean {
  const isOf = ["libs/replication/", "libs/metadata/", "libs/log/", "services/broker/", "services/controller/"];
  const isLeftOut = /\/(?:testing|simulation|dump|tracing|node)\/|\.test\.ts$|\/main\.ts$/.test(path);
  return isOf.some((prefix) => path.startsWith(prefix)) && !isLeftOut;
}

/** What repeats one run. */
function lineOf(seed: number, asked: SimArguments, name?: string): string {
  const { replicationFactor, backend, controllers, durationMs, pace, scenario } = asked;
  const kept = backend === undefined ? "" : ` --backend ${backend}`;
  const quorum = controllers === undefined ? "" : ` --controllers ${controllers}`;
  const length = durationMs === undefined ? "" : ` --seconds ${durationMs / 1000}`;
  const often = pace === 1 ? "" : ` --pace ${pace}`;
  const only = scenario === undefined ? "" : ` --scenario ${scenario}`;
  const without = name === undefined ? "" : ` --break ${name}`;
  return `npm run sim -- --seed ${seed} --replication-factor ${replicationFactor}${kept}${quorum}${length}${often}${only}${without}`;
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

/**
 * Takes one protection out, and runs until a seed finds that something is broken: by turns with the chain of faults that
 * aims at it, unless another is asked for, and with whatever is drawn.
 */
async function isFound(name: string, given: SimArguments, codecs: Codecs): Promise<boolean> {
  const aimed = switches.get(name);
  if (aimed === undefined) throw new Error(`There is no protection ${name}`);
  const startedMs = realTimeMs();
  let asked = given;
  let seed = asked.from;
  for (; seed <= asked.to && realTimeMs() - startedMs < asked.limitMs; seed++) {
    asked = { ...given, scenario: given.scenario ?? (seed % 4 === 0 ? undefined : aimed.scenario) };
    const bounds = { ...boundsOf(asked), broken: aimed.broken };
    const result = await simulate(seed, (random) => drawPlan(random, bounds), codecs);
    const [first] = result.violations;
    if (first === undefined) continue;
    if (first.rule === notStarted) throw new Error(describeFailure(result, lineOf(seed, asked, name)));
    print(`${name}: found: ${first.rule} (${lineOf(seed, asked, name)})`);
    return true;
  }
  print(`${name}: NOT found by the seeds ${asked.from} to ${seed - 1}`);
  return false;
}

async function runSwitches(name: string, asked: SimArguments, codecs: Codecs): Promise<number> {
  const names = name === "all" ? [...switches.keys()] : [name];
  let missed = 0;
  for (const each of names) if (!(await isFound(each, asked, codecs))) missed += 1;
  if (names.length > 1) print(`${names.length - missed} of ${names.length} found`);
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
