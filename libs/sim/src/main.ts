/** `npm run sim`: whole clusters in one process, from a seed each. */
import process from "node:process";
import { loadCodecs } from "@tidemark/compression";
import { coreTimeMs, print, realTimeMs } from "./node/process.ts";
import { readArguments, type SimArguments } from "./runs/arguments.ts";
import { drawPlan } from "./runs/plan.ts";
import { describeFailure, describeRun, describeSwarm } from "./runs/report.ts";
import type { RunResult } from "./runs/result.ts";
import { simulate } from "./runs/simulate.ts";

async function run({ from, to, limitMs, replicationFactor, durationMs }: SimArguments): Promise<number> {
  const { codecs } = await loadCodecs();
  const startedMs = realTimeMs();
  const results: RunResult[] = [];
  let coreMs = 0;
  for (let seed = from; seed <= to && realTimeMs() - startedMs < limitMs; seed++) {
    const before = coreTimeMs();
    const bounds = { replicationFactor, ...(durationMs === undefined ? {} : { durationMs }) };
    const result = await simulate(seed, (random) => drawPlan(random, bounds), codecs);
    const took = coreTimeMs() - before;
    coreMs += took;
    results.push(result);
    print(describeRun(result, took));
    if (result.violations.length === 0) continue;
    const length = durationMs === undefined ? "" : ` --seconds ${durationMs / 1000}`;
    print(describeFailure(result, `npm run sim -- --seed ${seed} --replication-factor ${replicationFactor}${length}`));
  }
  if (results.length > 1) print(describeSwarm(results, coreMs));
  return results.some(({ violations }) => violations.length > 0) ? 1 : 0;
}

function readOrEnd(): SimArguments {
  try {
    return readArguments(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
}

process.exitCode = await run(readOrEnd());
