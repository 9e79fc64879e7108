import { readdir } from "node:fs/promises";
import { Session } from "node:inspector/promises";
import process from "node:process";

/** Which lines of the project's own sources were run. */
export interface LineCoverage {
  /** Path from the root of the repository, `libs/log/src/log.ts`. */
  readonly path: string;
  /** Lines that hold code which is run as a part of some function or module; imports and exports of names are none. */
  readonly lines: number;
  /** Those of them that were not run, by their numbers from 1 on. */
  readonly missed: readonly number[];
}

export interface CoverageRecorder {
  /**
   * What was run since the recorder began, of the sources below `folders`, `libs/log/src`, that `isWanted` names by their
   * path. A source that nothing loaded is there too, with all its lines missed.
   */
  take(folders: readonly string[], isWanted: (path: string) => boolean): Promise<readonly LineCoverage[]>;
}

/** Whether this process was called to record. To be asked before the code is loaded that is recorded. */
export function isToBeCovered(): boolean {
  return process.argv.includes("--coverage");
}

/** Records what is run from now on, of the modules that are loaded from now on. It makes everything slower. */
export async function recordCoverage(): Promise<CoverageRecorder> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Debugger.enable");
  await session.post("Profiler.startPreciseCoverage", { callCount: false, detailed: true });
  const scripts = async (isWanted: (path: string) => boolean) => {
    const { result } = await session.post("Profiler.takePreciseCoverage");
    return result.flatMap((script) => {
      const path = /\/((?:libs|services)\/[^/]+\/src\/.*\.ts)$/.exec(script.url)?.[1];
      return path !== undefined && isWanted(path) ? [{ ...script, path }] : [];
    });
  };
  const sourceOf = async (scriptId: string) => {
    const { scriptSource } = await session.post("Debugger.getScriptSource", { scriptId });
    return scriptSource;
  };
  return {
    async take(folders, isWanted) {
      const found = new Map<string, LineCoverage>();
      for (const { path, scriptId, functions } of await scripts(isWanted)) {
        const ranges = functions.flatMap((each) => each.ranges);
        found.set(path, { path, ...countLines(await sourceOf(scriptId), ranges) });
      }
      for (const path of await sourcesBelow(folders)) {
        if (isWanted(path) && !found.has(path)) await import(new URL(path, root).href);
      }
      for (const { path, scriptId } of await scripts((path) => isWanted(path) && !found.has(path))) {
        found.set(path, { path, ...countLines(await sourceOf(scriptId), []) });
      }
      return [...found.values()];
    },
  };
}

/** The root of the repository. */
const root = new URL("../../../../", import.meta.url);

async function sourcesBelow(folders: readonly string[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const folder of folders) {
    const names = await readdir(new URL(folder, root), { recursive: true });
    found.push(...names.filter((name) => name.endsWith(".ts")).map((name) => `${folder}/${name}`));
  }
  return found;
}

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

/** The innermost range that holds the first of a line's code decides whether it was run. */
function countLines(source: string, ranges: readonly Range[]): Omit<LineCoverage, "path"> {
  const sorted = ranges.toSorted(
    (left, right) => left.startOffset - right.startOffset || right.endOffset - left.endOffset,
  );
  const run = new Uint8Array(source.length);
  for (const { startOffset, endOffset, count } of sorted) run.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  const missed: number[] = [];
  let lines = 0;
  let offset = 0;
  let isLinking = false;
  for (const [index, line] of source.split("\n").entries()) {
    isLinking ||= /^(?:import\b|export [{*])/.test(line);
    if (!isLinking && isCode(line)) {
      lines += 1;
      if (run[offset + firstOf(line)] !== 1) missed.push(index + 1);
    }
    isLinking &&= !line.includes(";");
    offset += line.length + 1;
  }
  return { lines, missed };
}

/** Where the code of a line begins that is run: a function belongs to itself, and not to the module that exports it. */
function firstOf(line: string): number {
  return line.search(/\S/) + (/^\s*(export\s+)/.exec(line)?.[1]?.length ?? 0);
}

/** Types are blank where they were taken out; comments, and lines of closing brackets alone, are nothing to run. */
function isCode(line: string): boolean {
  const text = line.trim();
  return text !== "" && !/^(?:\/\/|\/\*|\*|[\])},;]+$)/.test(text);
}
