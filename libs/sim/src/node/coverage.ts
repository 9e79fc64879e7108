import { Session } from "node:inspector/promises";

/** Which lines of the project's own sources were run. */
export interface LineCoverage {
  /** Path from the root of the repository, `libs/log/src/log.ts`. */
  readonly path: string;
  /** Lines that hold code which is run as a part of some function or module. */
  readonly lines: number;
  readonly covered: number;
}

export interface CoverageRecorder {
  /** What was run since the recorder began, of the sources that `isWanted` names by their path. */
  take(isWanted: (path: string) => boolean): Promise<readonly LineCoverage[]>;
}

/** Records what is run from now on. It makes everything slower. */
export async function recordCoverage(): Promise<CoverageRecorder> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Debugger.enable");
  await session.post("Profiler.startPreciseCoverage", { callCount: false, detailed: true });
  return {
    async take(isWanted) {
      const { result } = await session.post("Profiler.takePreciseCoverage");
      const found: LineCoverage[] = [];
      for (const { url, scriptId, functions } of result) {
        const path = /\/((?:libs|services)\/[^/]+\/src\/.*\.ts)$/.exec(url)?.[1];
        if (path === undefined || !isWanted(path)) continue;
        const { scriptSource } = await session.post("Debugger.getScriptSource", { scriptId });
        const ranges = functions.flatMap((each) => each.ranges);
        found.push({ path, ...countLines(scriptSource, ranges) });
      }
      return found;
    },
  };
}

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

/** The innermost range that holds a place decides whether it was run. */
function countLines(source: string, ranges: readonly Range[]): { readonly lines: number; readonly covered: number } {
  const sorted = ranges.toSorted(
    (left, right) => left.startOffset - right.startOffset || right.endOffset - left.endOffset,
  );
  const run = new Uint8Array(source.length);
  for (const { startOffset, endOffset, count } of sorted) run.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  let lines = 0;
  let covered = 0;
  let offset = 0;
  for (const line of source.split("\n")) {
    const first = line.search(/\S/);
    if (isCode(line)) {
      lines += 1;
      if (run[offset + first] === 1) covered += 1;
    }
    offset += line.length + 1;
  }
  return { lines, covered };
}

/** Types are blank where they were taken out; comments, and lines of closing brackets alone, are nothing to run. */
function isCode(line: string): boolean {
  const text = line.trim();
  return text !== "" && !/^(?:\/\/|\/\*|\*|[\])},;]+$)/.test(text);
}
