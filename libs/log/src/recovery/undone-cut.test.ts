import { keepAll } from "@tidemark/disk";
import { expect, test } from "vitest";
import { at, batchAt, contentOf, createTestLog, epoch, logFile, settled } from "../testing/fixture.ts";

/**
 * A broker is killed while the cut of its log is being flushed. It starts again on the shorter log, leads without a record,
 * and then a power cut brings the end back that was cut. In simulated seed 727838 the log forgot the epoch of that end.
 */
test("what comes back behind the start of a newer, empty epoch leaves the start of its own where it was", async () => {
  const log = await createTestLog();
  const ofEpoch = (leaderEpoch: number, offset: number) => batchAt(offset, { leaderEpoch });
  await log.flush(ofEpoch(1, 0), ofEpoch(2, 1), ofEpoch(2, 2));
  await settled(log);
  const uncut = log.disk.peek(logFile)?.slice() ?? new Uint8Array(0);
  await log.log.truncateTo(at(2));
  log.log.beginEpoch(epoch(3));
  await settled(log);
  log.disk.powerCut(keepAll);
  log.disk.put(logFile, uncut);
  await log.reopen();
  expect(await contentOf(log.log)).toEqual(["0..1", "1..2", "2..3"]);
  expect(log.log.epochs).toEqual([
    { leaderEpoch: 1, startOffset: 0n },
    { leaderEpoch: 2, startOffset: 1n },
  ]);
});
