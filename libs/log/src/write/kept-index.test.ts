/** A segment that grows again has its index, whatever other logs of the directory need the room of it for meanwhile. */
import { expect, test } from "vitest";
import { createSegmentIndex } from "../index/segment-index.ts";
import { createSegment } from "../segment/segment.ts";
import { at, batchAt, contentOf, createTestLog, type TestLog } from "../testing/fixture.ts";

/** Another log uses an index so large that the cache keeps no other. */
function crowdOut({ context }: TestLog): void {
  const index = createSegmentIndex(at(0));
  index.offsets.items = new Uint32Array(1_000_000);
  context.indexes.touch(createSegment("/data/other", at(0)), index);
}

const batchBytes = batchAt(0).length;

test.each([
  ["where another segment begins", 4, ["0..1", "1..2", "2..3", "3..4", "4..5"]],
  ["within a segment", 3, ["0..1", "1..2", "2..3", "3..4"]],
])("after a cut %s", async (_, cut, content) => {
  const log = await createTestLog({ settings: { segmentBytes: 2 * batchBytes } });
  for (let offset = 0; offset < 8; offset++) await log.flush(batchAt(offset));
  log.faulty.plan(({ kind, path }) => {
    if (kind === "truncate" && path.endsWith(".log")) crowdOut(log);
    return undefined;
  });
  await log.log.truncateTo(at(cut));
  await log.flush(batchAt(cut));
  expect(await contentOf(log.log)).toEqual(content);
});

test("after a roll went ahead to where a batch was to go that was refused", async () => {
  const log = await createTestLog({ settings: { gaps: true } });
  await log.flush(batchAt(0));
  log.faulty.plan(({ kind, path }) => {
    if (kind === "remove" && path.endsWith(".log")) crowdOut(log);
    return kind === "write" && path.endsWith(".log") ? { kind: "fail", code: "NO_SPACE" } : undefined;
  });
  await expect(log.flush(batchAt(5_000_000_000n))).rejects.toMatchObject({ code: "NO_SPACE" });
  log.faulty.plan(() => undefined);
  await log.flush(batchAt(1));
  expect(await contentOf(log.log)).toEqual(["0..1", "1..2"]);
});
