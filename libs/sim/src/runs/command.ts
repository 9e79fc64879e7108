import { loadCodecs } from "@tidemark/compression";
import type { Codecs } from "@tidemark/record";
import { endWithParent, type Share, tellParent } from "../node/children.ts";
import { recordCoverage } from "../node/coverage.ts";
import { coreTimeMs, print, realTimeMs } from "../node/process.ts";
import type { SimArguments } from "./arguments.ts";
import { drawPlan, type SwarmBounds } from "./plan.ts";
import { describeCoverage, describeFailure, describeRun } from "./report.ts";
import { notStarted, simulate } from "./simulate.ts";
import { switches } from "./switches.ts";
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

/** What the simulator is to prove: the protocol and its drivers, without their tests, their adapters and their spans. */
function isProven(path: string): boolean {
  const isOf = ["libs/replication/", "libs/metadata/", "libs/log/", "services/broker/", "services/controller/"];
  const isLeftOut = /\/(?:testing|simulation|dump|tracing|node)\/|\.test\.ts$|\/main\.ts$|-trace\.ts$/.test(path);
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

function tell(told: Told): void {
  tellParent(told);
}

async function runSeeds(asked: SimArguments, share: Share, codecs: Codecs): Promise<number> {
  const bounds = boundsOf(asked);
  const recorder = asked.isCovered ? await recordCoverage() : undefined;
  const startedMs = realTimeMs();
  let failed = 0;
  for (
    let seed = asked.from + share.index;
    seed <= asked.to && realTimeMs() - startedMs < asked.limitMs;
    seed += share.of
  ) {
    const before = coreTimeMs();
    const result = await simulate(seed, (random) => drawPlan(random, bounds), codecs);
    const coreMs = coreTimeMs() - before;
    tell({ kind: "run", result, coreMs });
    print(describeRun(result, coreMs));
    if (result.violations.length === 0) continue;
    failed += 1;
    print(describeFailure(result, lineOf(seed, asked)));
  }
  if (recorder !== undefined) print(describeCoverage(await recorder.take(isProven)));
  return failed === 0 ? 0 : 1;
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

async function runSwitches(name: string, asked: SimArguments, share: Share, codecs: Codecs): Promise<number> {
  const names = name === "all" ? [...switches.keys()] : [name];
  let missed = 0;
  for (const [index, each] of names.entries()) {
    if (index % share.of !== share.index) continue;
    const found = await isFound(each, asked, codecs);
    tell({ kind: "switch", isFound: found });
    if (!found) missed += 1;
  }
  return missed === 0 ? 0 : 1;
}

/** Runs this process's share of what is asked for. Resolves to the exit code. */
export async function runCommand(asked: SimArguments, share: Share): Promise<number> {
  endWithParent();
  const { codecs } = await loadCodecs();
  return asked.broken === undefined ? runSeeds(asked, share, codecs) : runSwitches(asked.broken, asked, share, codecs);
}
