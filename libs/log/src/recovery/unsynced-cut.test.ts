/** A process that is killed while a cut is being flushed leaves a shorter file, which a power cut may bring back whole. */
import type { PowerLoss } from "@tidemark/disk";
import { expect, test } from "vitest";
import { appendUnflushed, at, batchAt, contentOf, createTestLog, logFile, settled } from "../testing/fixture.ts";

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

/** Power fails, and nothing that was not flushed had come off the end of a file. */
const regrown: PowerLoss = ({ operation }) => ({ kind: operation.kind === "truncate" ? "dropped" : "kept" });

/**
 * Seed 3400197 (raft): 64 bytes of a batch for which there was no more room came back at the end of a segment that had a
 * successor, and a sound replica was taken for damaged.
 */
test("what a write left that found no room does not come back behind the next segment's beginning", async () => {
  const log = await createTestLog({ settings: { segmentBytes: 3 * batchBytes } });
  await log.flush(batchAt(0), batchAt(1));
  await settled(log);
  const full = { kind: "short", bytes: 64, code: "NO_SPACE" } as const;
  log.faulty.plan(({ kind, path }) => (kind === "write" && path === logFile ? full : undefined));
  const refused = log.flush(batchAt(2));
  await expect(refused).rejects.toMatchObject({ code: "NO_SPACE" });
  log.faulty.plan(() => undefined);
  // Larger than what the segment has room for.
  await log.flush(batchAt(2, { value: "x".repeat(batchBytes) }));
  await settled(log);
  expect(log.log.segmentCount).toBe(2);
  log.disk.powerCut(regrown);
  expect(log.disk.peek(logFile)).toHaveLength(2 * batchBytes);
  await log.reopen();
  expect(await contentOf(log.log)).toEqual(["0..1", "1..2", "2..3"]);
});

test("nor does what a cut left that found no room for what stands for a gap", async () => {
  const log = await createTestLog({ settings: { segmentBytes: 3 * batchBytes, gaps: true } });
  await log.flush(batchAt(0), batchAt(5));
  await settled(log);
  const full = { kind: "short", bytes: 30, code: "NO_SPACE" } as const;
  log.faulty.plan(({ kind, path }) => (kind === "write" && path === logFile ? full : undefined));
  expect(await log.log.truncateTo(at(3))).toBe(at(1));
  log.faulty.plan(() => undefined);
  await log.flush(batchAt(1, { value: "x".repeat(3 * batchBytes) }));
  await settled(log);
  expect(log.log.segmentCount).toBe(2);
  log.disk.powerCut(regrown);
  expect(log.disk.peek(logFile)).toHaveLength(batchBytes);
  await log.reopen();
  expect(await contentOf(log.log)).toEqual(["0..1", "1..2"]);
});

/**
 * Seed 3600891 (raft): a start was killed while it put a tail that might not be flushed in a segment of its own, and the
 * next one finished that. The old copy of the tail came back behind the new one's beginning.
 */
test("nor does a tail that a start was killed over when it had cut it, and that the next start put in place", async () => {
  const log = await createTestLog();
  await log.flush(batchAt(0), batchAt(1));
  await settled(log);
  await appendUnflushed(log, batchAt(2));
  log.disk.kill();
  log.faulty.plan(({ kind, path }) => (kind === "sync" && path === logFile ? { kind: "hang", ms: 1e9 } : undefined));
  await log.reopen();
  log.flush(batchAt(3)).catch(() => undefined);
  await log.time.advance(10);
  expect(log.disk.peek(logFile)).toHaveLength(2 * batchBytes);
  log.disk.kill();
  log.faulty.plan(() => undefined);
  await log.reopen();
  expect(log.log.segmentCount).toBe(2);
  log.disk.powerCut(regrown);
  expect(log.disk.peek(logFile)).toHaveLength(2 * batchBytes);
  await log.reopen();
  expect(await contentOf(log.log)).toEqual(["0..1", "1..2", "2..3"]);
});
