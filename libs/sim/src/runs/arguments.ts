import process from "node:process";
import type { ClusterShape } from "../cluster/cluster.ts";
import { type ScenarioName, scenarioNames } from "../faults/scenarios.ts";
import { switches } from "./switches.ts";

/** What `npm run sim` is asked for. */
export interface SimArguments {
  readonly from: number;
  /** Last seed. Infinity where only time ends the runs. */
  readonly to: number;
  /** Milliseconds of real time after which no further run begins. */
  readonly limitMs: number;
  readonly replicationFactor: number;
  /** Where the controllers keep the metadata. Undefined: one in a file of its own, more by their own quorum. */
  readonly backend: ClusterShape["backend"] | undefined;
  /** Undefined: as drawn. */
  readonly controllers: number | undefined;
  /** How long faults are done in a run, in milliseconds of the run. Undefined: as drawn. */
  readonly durationMs: number | undefined;
  /** How often faults come, as a multiple of the usual. */
  readonly pace: number;
  /** The only faults that are done. Undefined: as drawn. */
  readonly scenario: ScenarioName | undefined;
  /** Processes that run at once, each its share. */
  readonly jobs: number;
  /** File that takes the spans of the run, as lines of OTLP's JSON form. Undefined: nothing is traced. */
  readonly spansFile: string | undefined;
  /** Whether the lines that were run are counted. */
  readonly isCovered: boolean;
  /** Name of the protection that is taken out. Undefined: no such run; "all": each in turn; "nothing": none. */
  readonly broken: string | undefined;
}

export const usage = `Usage: npm run sim -- [--seed N | --seeds A..B] [--minutes M] [--replication-factor N] [--backend NAME] [--controllers N] [--seconds S] [--pace P] [--scenario NAME] [--jobs N] [--coverage] [--export otlp [FILE]] [--break NAME]
  --seed N                one run
  --seeds A..B            the runs from A to B
  --minutes M             runs from seed 1 (or A) on until M minutes are over
  --replication-factor N  replicas of each partition (1)
  --backend NAME          single, raft or etcd; else single for one controller, raft for more
  --controllers N         how many controllers; else drawn
  --seconds S             how long faults are done in a run; else drawn
  --pace P                how often faults come, as a multiple of the usual (1)
  --scenario NAME         one chain of faults again and again, and no others: one of
                          ${scenarioNames.join(", ")}
  --jobs N                so many processes at once, each with a core of its own (1); with --coverage there is one
  --coverage              also tells which share of the lines of each package was run
  --export otlp [FILE]    with --seed: writes the spans of every service into FILE (sim-N.otlp.jsonl), for Jaeger and
                          \`tidemark trace show\`
  --break NAME            takes a protection out, and is well when a run finds it: all, nothing (then no run may find
                          anything), or one of
                          ${[...switches.keys()].join(", ")}`;

/** Throws an error with the usage where the arguments are not understood. */
export function readArguments(given: readonly string[]): SimArguments {
  let asked: SimArguments = {
    from: 1,
    to: 1,
    limitMs: Number.POSITIVE_INFINITY,
    replicationFactor: 1,
    backend: undefined,
    controllers: undefined,
    durationMs: undefined,
    pace: 1,
    scenario: undefined,
    jobs: 1,
    spansFile: undefined,
    isCovered: false,
    broken: undefined,
  };
  let isRange = false;
  for (let at = 0; at < given.length; at += wordsAt(given, at)) {
    const value = given[at + 1] ?? "";
    switch (given[at]) {
      case "--seed":
        asked = { ...asked, from: whole(value), to: whole(value) };
        isRange = true;
        break;
      case "--seeds": {
        const [from = "", to = ""] = value.split("..");
        asked = { ...asked, from: whole(from), to: whole(to) };
        isRange = true;
        break;
      }
      case "--minutes":
        asked = { ...asked, limitMs: positive(value) * 60_000 };
        if (!isRange) asked = { ...asked, to: Number.POSITIVE_INFINITY };
        break;
      case "--replication-factor":
        asked = { ...asked, replicationFactor: count(value) };
        break;
      case "--backend":
        asked = { ...asked, backend: backendNamed(value) };
        break;
      case "--controllers":
        asked = { ...asked, controllers: count(value) };
        break;
      case "--seconds":
        asked = { ...asked, durationMs: positive(value) * 1000 };
        break;
      case "--pace":
        asked = { ...asked, pace: positive(value) };
        break;
      case "--jobs":
        asked = { ...asked, jobs: Math.max(1, whole(value)) };
        break;
      case "--coverage":
        asked = { ...asked, isCovered: true };
        break;
      case "--export":
        if (value !== "otlp") throw new Error(`--export knows otlp, not "${value}".\n${usage}`);
        asked = { ...asked, spansFile: wordsAt(given, at) === 3 ? (given[at + 2] ?? "") : "" };
        break;
      case "--scenario":
        asked = { ...asked, scenario: scenarioNamed(value) };
        break;
      case "--break":
        if (!["all", "nothing"].includes(value) && !switches.has(value))
          throw new Error(`There is no protection ${value}.\n${usage}`);
        asked = { ...asked, broken: value };
        break;
      default:
        throw new Error(`${given[at]} is not known.\n${usage}`);
    }
  }
  const problem = contradictionIn(asked);
  if (problem !== undefined) throw new Error(`${problem}\n${usage}`);
  return asked.isCovered ? { ...asked, jobs: 1 } : namingSpans(asked);
}

/** What would run nothing, and look like success, or a cluster that cannot be. Undefined: nothing. */
function contradictionIn({ from, to, backend, controllers = 1 }: SimArguments): string | undefined {
  if (to < from) return `There is no seed from ${from} to ${to}.`;
  if (backend === "single" && controllers > 1) return `The backend single has one controller, not ${controllers}.`;
  return undefined;
}

/** How many words a flag takes with what belongs to it. */
function wordsAt(given: readonly string[], at: number): number {
  if (given[at] === "--coverage") return 1;
  const third = given[at + 2];
  return given[at] === "--export" && third !== undefined && !third.startsWith("--") ? 3 : 2;
}

/** Spans are of one run. */
function namingSpans(asked: SimArguments): SimArguments {
  const { spansFile, from, to, broken } = asked;
  if (spansFile === undefined) return asked;
  if (from !== to || broken !== undefined) throw new Error(`--export takes the spans of one run: --seed N.\n${usage}`);
  return { ...asked, jobs: 1, spansFile: spansFile === "" ? `sim-${from}.otlp.jsonl` : spansFile };
}

/** What this process was called with. Ends it with the usage where that is not understood. */
export function readOrEnd(): SimArguments {
  try {
    return readArguments(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
}

function backendNamed(text: string): ClusterShape["backend"] {
  if (text === "single" || text === "raft" || text === "etcd") return text;
  throw new Error(`There is no backend ${text}.\n${usage}`);
}

function scenarioNamed(text: string): ScenarioName {
  const found = scenarioNames.find((name) => name === text);
  if (found === undefined) throw new Error(`There is no scenario ${text}.\n${usage}`);
  return found;
}

function whole(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new Error(`"${text}" is no whole number.\n${usage}`);
  return Number(text);
}

function count(text: string): number {
  const value = whole(text);
  if (value === 0) throw new Error(`There is at least one of each, not 0.\n${usage}`);
  return value;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`"${text}" is no positive number.\n${usage}`);
  return value;
}
