import { PassThrough } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import type { RecordOutcome } from "@tidemark/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createProgress } from "./progress.ts";
import { createTally } from "./tally.ts";

const MiB = 2 ** 20;
const acknowledged: RecordOutcome = { kind: "acknowledged", partition: 0, offset: 0n };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Progress on a terminal, or on what is none. */
function start(totalBytes: number | undefined, isTTY = true) {
  const stderr = Object.assign(new PassThrough({ encoding: "utf8" }), { isTTY });
  const tally = createTally();
  const progress = createProgress({ stderr }, totalBytes, tally);
  /** What was written since the last look. */
  const written = () => {
    vi.advanceTimersByTime(1000);
    return (stderr.read() as string | null) ?? "";
  };
  return { progress, tally, written, drawn: () => stripVTControlCharacters(written()) };
}

test("the bar shows how much of the input was read, and what became of it", () => {
  const { progress, tally, drawn } = start(4 * MiB);
  expect(drawn()).toContain("0 %  0.0 MiB, acknowledged 0, unknown 0, failed 0");
  tally.count(acknowledged);
  progress.show(MiB);
  expect(drawn()).toMatch(/=+-+ 25 % {2}1\.0 MiB, acknowledged 1, unknown 0, failed 0/);
  progress.stop();
});

test("where all is read, what is still acknowledged is shown", () => {
  const { progress, tally, drawn } = start(MiB);
  progress.show(MiB);
  expect(drawn()).toContain("100 %  1.0 MiB, acknowledged 0,");
  tally.count(acknowledged);
  expect(drawn()).toContain("100 %  1.0 MiB, acknowledged 1,");
  progress.stop();
});

test("an input that grows meanwhile, and an empty one, are read to the end and no further", () => {
  for (const totalBytes of [MiB, 0]) {
    const { progress, drawn } = start(totalBytes);
    progress.show(totalBytes + MiB);
    expect(drawn()).toContain("100 %");
    progress.stop();
  }
});

test("an input of unknown length has its counts and no bar", () => {
  const { progress, drawn } = start(undefined);
  progress.show(3 * MiB);
  const text = drawn();
  expect(text).toContain("3.0 MiB, acknowledged 0, unknown 0, failed 0");
  expect(text).not.toMatch(/%|-----/);
  progress.stop();
});

test("the end leaves an empty line and a cursor that is seen, and draws no more", () => {
  const { progress, written } = start(MiB);
  expect(written()).toContain("\u001b[?25l");
  progress.stop();
  expect(written()).toMatch(/\[\?25h[^]*\[1G\u001b\[2K$/);
  progress.show(MiB);
  expect(written()).toBe("");
});

test("what is no terminal is told nothing", () => {
  const { progress, written } = start(MiB, false);
  progress.show(MiB);
  progress.stop();
  expect(written()).toBe("");
});
