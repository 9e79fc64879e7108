/** A process that is killed leaves notes that it wrote and did not flush: what a start does because of them must not outlive them. */
import { expect, test } from "vitest";
import {
  at,
  batchAt,
  checkpointFile,
  contentOf,
  createTestLog,
  logDirectory,
  logFile,
  namesOf,
  settled,
  type TestLog,
} from "../testing/fixture.ts";

const batchBytes = batchAt(0).length;

/** Three segments with a batch each; then records are deleted, and the process is killed while that is being noted. */
async function killedWhileDeleting(): Promise<TestLog> {
  const test = await createTestLog({ settings: { segmentBytes: batchBytes } });
  await test.flush(batchAt(0));
  await test.flush(batchAt(1));
  await test.flush(batchAt(2));
  test.log.setHighWatermark(at(3));
  await settled(test);
  test.faulty.plan(({ kind, path }) =>
    kind === "sync" && path === checkpointFile ? { kind: "hang", ms: 1e9 } : undefined,
  );
  test.log.moveLogStart(at(2)).catch(() => undefined);
  await test.time.advance(10);
  expect(test.disk.peek(logFile)).toBeDefined();
  test.disk.kill();
  test.faulty.plan(() => undefined);
  return test;
}

test("segments that a start removes are not missed behind a power cut (seed 881018)", async () => {
  const log = await killedWhileDeleting();
  await log.reopen();
  expect(log.log.logStartOffset).toBe(2n);
  expect(log.disk.peek(logFile)).toBeUndefined();
  log.disk.powerCut();
  await log.reopen();
  expect(log.log.status).toEqual({ kind: "online" });
  expect(log.log.logStartOffset).toBe(2n);
  expect(await contentOf(log.log)).toEqual(["2..3"]);
});

test("offsets that a leader's compaction left out are no damage behind a power cut where a killed process was about to note them", async () => {
  const log = await createTestLog();
  await log.flush(batchAt(0));
  await settled(log);
  log.faulty.plan(({ kind, path }) =>
    kind === "syncDirectory" && path === logDirectory ? { kind: "hang", ms: 1e9 } : undefined,
  );
  log.log.append(batchAt(5), { gaps: true });
  await log.time.advance(10);
  expect(await namesOf(log)).toContain("gaps");
  log.disk.kill();
  log.faulty.plan(() => undefined);
  await log.reopen();
  log.log.append(batchAt(5), { gaps: true });
  await log.log.flushed(at(6));
  await settled(log);
  log.disk.powerCut();
  await log.reopen();
  expect(log.log.status).toEqual({ kind: "online" });
  expect(await contentOf(log.log)).toEqual(["0..1", "5..6"]);
});
