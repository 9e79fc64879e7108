/** A process that is killed while a cut is being flushed leaves a shorter file, which a power cut may bring back whole. */
import { expect, test } from "vitest";
import { at, batchAt, contentOf, createTestLog, logFile, settled } from "../testing/fixture.ts";

const batchBytes = batchAt(0).length;

test("what was cut does not come back behind a segment that was ended without a record after the cut", async () => {
  const log = await createTestLog({ settings: { segmentBytes: 3 * batchBytes } });
  const late = 1_700_000_001_000;
  await log.flush(batchAt(0), batchAt(1), batchAt(2, { timestamp: late, value: "cut" }));
  await settled(log);
  log.faulty.plan(({ kind, path }) => (kind === "sync" && path === logFile ? { kind: "hang", ms: 1e9 } : undefined));
  log.log.truncateTo(at(2)).catch(() => undefined);
  await log.time.advance(10);
  expect(log.disk.peek(logFile)).toHaveLength(2 * batchBytes);
  log.disk.kill();
  log.faulty.plan(() => undefined);
  await log.reopen({ segmentBytes: 2 * batchBytes });
  await log.flush(batchAt(2, { leaderEpoch: 1 }));
  await settled(log);
  expect(log.log.segmentCount).toBe(2);
  log.disk.powerCut();
  await log.reopen();
  expect(await log.log.offsetForTimestamp(BigInt(late))).toBeUndefined();
  expect(await contentOf(log.log)).toEqual(["0..1", "1..2", "2..3"]);
});
