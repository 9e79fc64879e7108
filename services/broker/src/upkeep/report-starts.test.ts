import { offset, partitionIndex, topicId } from "@tidemark/ids";
import type { StartReport } from "@tidemark/log";
import { createManualTime } from "@tidemark/runtime";
import { createLogger } from "@tidemark/telemetry";
import { describe, expect, it } from "vitest";
import { createStartReporter } from "./report-starts.ts";

const replica = { topicId: topicId("00000000-0000-4000-8000-000000000001"), partition: partitionIndex(3) };
const sound: StartReport = {
  hadNotes: true,
  hadEpochs: true,
  lostCutNote: false,
  unflushed: { from: offset(4n), end: offset(9n) },
  tornBytes: 0,
};

function linesOf(report: StartReport): string[] {
  const lines: string[] = [];
  const { clock } = createManualTime();
  const logger = createLogger({
    clock,
    level: "info",
    service: "test",
    instanceId: "test",
    write: (line) => lines.push(line),
  });
  createStartReporter(logger, "/data")(replica, report);
  return lines;
}

describe("the start of a replica", () => {
  it("is not worth a line when nothing was lost, also after a kill", () => {
    expect(linesOf(sound)).toEqual([]);
  });

  it.each([
    ["lost notes", { hadNotes: false }, "error", "has lost its noted offsets"],
    ["lost leader epochs", { hadEpochs: false }, "warn", "had lost its leader epochs"],
    ["a lost note of cuts", { lostCutNote: true }, "error", "has lost the note of what was cut"],
    ["a torn tail", { tornBytes: 70 }, "warn", "had a torn tail"],
  ])("tells of %s, and of which replica", (_, changed, level, words) => {
    const lines = linesOf({ ...sound, ...changed });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(words);
    expect(lines[0]).toContain("/data/00000000-0000-4000-8000-000000000001-3");
    expect(lines[0]?.toLowerCase()).toContain(level);
  });
});
