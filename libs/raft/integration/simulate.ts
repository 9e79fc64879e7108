/**
 * Runs the simulated Raft cluster from many seeds, and says what the runs have seen.
 *
 *     npm run simulate -w @tidemark/raft -- --seeds 5000        until so many runs counted
 *     npm run simulate -w @tidemark/raft -- --seed 17 --trace   one run, line by line
 *     npm run simulate -w @tidemark/raft -- --without preVote   with a rule switched off
 *
 * Ends with 1 when a promise was broken.
 */
import { parseArgs } from "node:util";
import { allGuards, type Guards } from "../src/guards.ts";
import { enough, type SimulationResult, simulate } from "../src/simulation/simulation.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "0" },
    seed: { type: "string" },
    trace: { type: "boolean", default: false },
    without: { type: "string" },
  },
});

const measures = [
  "simulatedMs",
  "committed",
  "elections",
  "faults",
  "faultKinds",
  "reads",
  "changes",
  "snapshots",
] as const;

const guards = guardsWithout(values.without);
if (values.seed === undefined) runMany(Number(values.from), Number(values.seeds));
else runOne(Number(values.seed));

function guardsWithout(name: string | undefined): Partial<Guards> {
  if (name === undefined) return {};
  if (!(name in allGuards)) {
    console.error(`There is no rule ${name}. The rules are: ${Object.keys(allGuards).join(", ")}`);
    process.exit(2);
  }
  return { [name]: false };
}

function runOne(seed: number): void {
  const result = simulate({ seed, guards, ...(values.trace ? { onTrace: (line) => console.log(line) } : {}) });
  const { violation, ...rest } = result;
  console.log(rest);
  if (violation !== undefined) console.log(violation.stack);
  process.exitCode = violation === undefined ? 0 : 1;
}

/** Runs seeds from `from` on until `wanted` of them counted or failed. */
function runMany(from: number, wanted: number): void {
  const startedAt = performance.now();
  const results: SimulationResult[] = [];
  let seed = from;
  for (let decided = 0; decided < wanted; seed++) {
    const result = simulate({ seed, guards });
    results.push(result);
    if (result.counts || result.violation !== undefined) decided++;
    if (result.violation !== undefined) console.log(`${result.violation.message}\n    ${commandFor(seed)}`);
  }
  const failed = results.filter((result) => result.violation !== undefined).length;
  const counting = results.filter((result) => result.counts);
  const seconds = (performance.now() - startedAt) / 1000;
  console.log(`Seeds ${from} to ${seed - 1}: ${counting.length} counted, ${failed} failed, ${seconds.toFixed(0)} s.`);
  console.log(`A run counts from ${JSON.stringify(enough)} on.`);
  console.table(Object.fromEntries(measures.map((measure) => [measure, spread(counting.map((run) => run[measure]))])));
  process.exitCode = failed > 0 ? 1 : 0;
}

function commandFor(seed: number): string {
  const without = values.without === undefined ? "" : ` --without ${values.without}`;
  return `npm run simulate -w @tidemark/raft -- --seed ${seed} --trace${without}`;
}

function spread(numbers: number[]): Record<string, number | undefined> {
  const sorted = numbers.toSorted((left, right) => left - right);
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))];
  return { least: at(0), "5 %": at(0.05), median: at(0.5), "95 %": at(0.95), most: at(1) };
}
