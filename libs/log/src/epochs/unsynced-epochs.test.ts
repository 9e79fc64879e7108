/** Leader epochs that a killed process had written and not flushed are there before a batch of theirs counts as flushed (L4). */
import { expect, test } from "vitest";
import {
  at,
  batchAt,
  contentOf,
  createTestLog,
  epoch,
  epochFile,
  settled,
  type TestLog,
  whileTimeGoes,
} from "../testing/fixture.ts";

/** A log of one batch of leader epoch 1, whose list of leader epochs is not flushed any more. */
async function unflushedList(fault: "hangs" | "fails"): Promise<TestLog> {
  const log = await createTestLog();
  await log.flush(batchAt(0, { leaderEpoch: 1 }));
  await settled(log);
  log.faulty.plan(({ kind, path }) => {
    if (kind !== "sync" || path !== epochFile) return undefined;
    return fault === "hangs" ? { kind: "hang", ms: 1e9 } : { kind: "fail", code: "IO" };
  });
  return log;
}

async function startAgain(log: TestLog, after: "kill" | "powerCut"): Promise<void> {
  log.disk[after]();
  log.faulty.plan(() => undefined);
  await log.reopen();
}

/** What a start finds after the power was cut. */
async function foundAfterPowerCut(log: TestLog) {
  await settled(log);
  await startAgain(log, "powerCut");
  const content = await contentOf(log.log);
  return { content, status: log.log.status.kind, epochs: log.log.epochs.map(({ leaderEpoch }) => leaderEpoch) };
}

test.each(["hangs", "fails"] as const)("of a tail that a start wrote anew, where the flush %s", async (fault) => {
  const log = await unflushedList(fault);
  log.log.append(batchAt(1, { leaderEpoch: 2 }));
  await log.time.advance(10);
  await startAgain(log, "kill");
  await whileTimeGoes(log.time, log.log.flushed(at(2)));
  expect(await foundAfterPowerCut(log)).toEqual({ content: ["0..1", "1..2"], status: "online", epochs: [1, 2] });
});

test("of batches that are appended to an epoch which began before the process was killed", async () => {
  const log = await unflushedList("hangs");
  log.log.beginEpoch(epoch(2));
  await log.time.advance(10);
  await startAgain(log, "kill");
  await log.flush(batchAt(1, { leaderEpoch: 2 }));
  expect(await foundAfterPowerCut(log)).toEqual({ content: ["0..1", "1..2"], status: "online", epochs: [1, 2] });
});

test("where the list had been put in the place of another, and the process was killed before that was durable", async () => {
  const log = await createTestLog({ settings: { segmentBytes: 2 * batchAt(0).length } });
  for (let offset = 0; offset < 5; offset++) await log.flush(batchAt(offset, { leaderEpoch: offset }));
  log.log.setHighWatermark(at(5));
  await settled(log);
  let isReplaced = false;
  log.faulty.plan(({ kind, path }) => {
    isReplaced ||= kind === "rename" && path.startsWith(epochFile);
    return kind === "syncDirectory" && isReplaced ? { kind: "hang", ms: 1e9 } : undefined;
  });
  log.log.moveLogStart(at(3)).catch(() => undefined);
  await log.time.advance(10);
  expect(isReplaced).toBe(true);
  await startAgain(log, "kill");
  await log.flush(batchAt(5, { leaderEpoch: 5 }));
  const { content, status, epochs } = await foundAfterPowerCut(log);
  expect([content.at(-1), status, epochs.at(-1)]).toEqual(["5..6", "online", 5]);
});

test("at no cost where the list was flushed before", async () => {
  const log = await createTestLog();
  await log.flush(batchAt(0, { leaderEpoch: 1 }));
  await settled(log);
  await log.log.close();
  await log.reopen();
  const touched: string[] = [];
  log.faulty.plan(({ kind, path }) => {
    if (path.startsWith(epochFile)) touched.push(kind);
    return undefined;
  });
  await log.flush(batchAt(1, { leaderEpoch: 1 }));
  expect(touched).toEqual([]);
});
