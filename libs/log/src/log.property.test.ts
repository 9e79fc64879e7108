/** A log under everything that can happen to it, in random order, against its model. */
import type { PowerLoss } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import { createSeededRandom } from "@tidemark/runtime";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { greater, lesser } from "./bytes.ts";
import { defaultCompactionSettings, defaultLogSettings, type LogSettings } from "./settings.ts";
import { violationsOf } from "./testing/check-recovered.ts";
import { testEffort, testTimeoutMs } from "./testing/effort.ts";
import { at, batchAt, createTestLog } from "./testing/fixture.ts";
import { createDriver, type Driver } from "./testing/model.ts";

const seed = 1;
const settings: LogSettings = { ...defaultLogSettings, segmentBytes: 1200, indexIntervalBytes: 150, retentionMs: -1 };
const compactSettings: LogSettings = {
  ...settings,
  gaps: true,
  compaction: { ...defaultCompactionSettings, minDirtyRatio: 0, mapBytes: 1 },
};
const asyncSettings: LogSettings = { ...settings, flush: "async" };
const wallNow = 2_000_000_000_000n;

/** Does one thing to the log and its model, and checks what it can. */
type Step = (driver: Driver) => Promise<void>;
interface Command {
  readonly says: string;
  readonly step: Step;
}

/** `share` of the way from one offset to another. */
const between = (low: bigint, high: bigint, share: number) => Number(low) + Math.floor(Number(high - low) * share);
const timeOf = (offset: bigint) => 1_000_000n + ((offset * 37n) % 1000n);

const share = fc.double({ min: 0, max: 1, noNaN: true });
const command = <Value>(
  says: string,
  value: fc.Arbitrary<Value>,
  step: (driver: Driver, value: Value) => Promise<void>,
) => value.map((drawn): Command => ({ says: `${says} ${fc.stringify(drawn)}`, step: (driver) => step(driver, drawn) }));

const batch = fc.record({
  records: fc.integer({ min: 1, max: 4 }),
  size: fc.nat(300),
  key: fc.nat(3),
  newEpoch: fc.boolean(),
});
const append = command("append", fc.array(batch, { minLength: 1, maxLength: 5 }), async (driver, batches) => {
  for (const { records, size, key, newEpoch } of batches) {
    const { log } = driver.test;
    const base = log.logEndOffset;
    driver.append(
      batchAt(base, {
        records,
        value: "x".repeat(size),
        key: `k${key}`,
        timestamp: Number(timeOf(base)),
        leaderEpoch: (log.latestLeaderEpoch ?? 0) + (newEpoch ? 1 : 0),
      }),
    );
  }
});
const flush = command("flush", fc.constant(0), ({ test }) => test.log.flushed(test.log.logEndOffset));
const highWatermark = command("high watermark", share, async ({ test: { log } }, part) => {
  log.setHighWatermark(at(between(log.highWatermark, log.flushedOffset, part)));
});
const deleteBelow = command("delete below", share, (driver, part) => {
  const { logStartOffset, highWatermark: limit } = driver.test.log;
  return driver.deleteBelow(between(logStartOffset, limit, part));
});
const retain = (start: LogSettings) =>
  command("retain", share, async (driver, part) => {
    const { log } = driver.test;
    log.configure({ ...start, retentionBytes: Math.floor(log.sizeInBytes * part) });
    await driver.retain(wallNow);
  });
const cut = command("cut", share, (driver, part) => {
  const { logStartOffset, logEndOffset } = driver.test.log;
  return driver.cut(between(logStartOffset, logEndOffset, part));
});
/** Up to where the log was committed when it was compacted last: below it values are gone that later ones replaced. */
const compactedTo = new WeakMap<Driver, Offset>();
/** No replica is cut below what was committed, also after a start that knows an older high watermark. */
const cutUncommitted = command("cut what is not committed", share, (driver, part) => {
  const { highWatermark, logEndOffset } = driver.test.log;
  const low = greater(highWatermark, compactedTo.get(driver) ?? highWatermark);
  return driver.cut(between(lesser(low, logEndOffset), logEndOffset, part));
});
const startAnew = command("start anew", share, (driver, part) =>
  driver.startAnew(between(0n, driver.test.log.logEndOffset + 5n, part)),
);
const compact = command("compact", fc.constant(0), async (driver) => {
  const { log } = driver.test;
  await log.flushed(log.logEndOffset);
  log.setHighWatermark(log.flushedOffset);
  compactedTo.set(driver, log.highWatermark);
  await driver.compact(wallNow);
  expect(await violationsOf(log, driver.expected)).toEqual([]);
});
/** Reads once and holds the answer against the model. Returns where to read on. */
async function checkRead(driver: Driver, offset: Offset, maxBytes: number): Promise<Offset> {
  const { log } = driver.test;
  const there = (driver.expected.versions[0]?.batches ?? []).filter(
    ({ next }) => next > offset && next <= log.writtenOffset,
  );
  const { bytes, nextOffset } = await log.read(offset, { maxBytes });
  let size = 0;
  let count = 0;
  while (size < bytes.length) size += there[count++]!.bytes.length;
  expect(Buffer.concat(there.slice(0, count).map((found) => found.bytes)).equals(bytes)).toBe(true);
  expect(nextOffset).toBe(there[count - 1]?.next ?? offset);
  expect(count >= Math.min(1, there.length)).toBe(true);
  expect(count <= 1 || bytes.length <= maxBytes).toBe(true);
  return nextOffset;
}
const read = command("read", fc.record({ part: share, maxBytes: fc.nat(900) }), async (driver, { part, maxBytes }) => {
  const { logStartOffset, writtenOffset } = driver.test.log;
  await checkRead(driver, at(between(logStartOffset, writtenOffset, part)), maxBytes);
});
/** Where the one reader is who reads the log from front to back, beside everything that happens to it. */
const readers = new WeakMap<Driver, Offset>();
const readOn = command("read on", fc.array(fc.nat(400), { minLength: 1, maxLength: 4 }), async (driver, pieces) => {
  for (const maxBytes of pieces) {
    const { logStartOffset, writtenOffset } = driver.test.log;
    const was = readers.get(driver) ?? logStartOffset;
    const offset = was < logStartOffset || was >= writtenOffset ? logStartOffset : was;
    readers.set(driver, await checkRead(driver, offset, maxBytes));
  }
});
const lookUp = command("look up", fc.bigInt(999_900n, 1_001_100n), async (driver, timestamp) => {
  const { log } = driver.test;
  await log.flushed(log.logEndOffset);
  const records = (driver.expected.versions[0]?.batches ?? []).flatMap(({ base, next }) =>
    Array.from({ length: Number(next - base) }, (_, n) => ({
      offset: base + BigInt(n),
      timestamp: timeOf(base) + BigInt(n),
    })),
  );
  const first = records.find((record) => record.offset >= log.logStartOffset && record.timestamp >= timestamp);
  expect(await log.offsetForTimestamp(timestamp)).toEqual(first);
});

const reopen = async (driver: Driver) => {
  const { test } = driver;
  await test.reopen();
  expect(await violationsOf(test.log, driver.expected)).toEqual([]);
  driver.adopt();
};
const close = command("close", fc.constant(0), async (driver) => {
  await driver.test.log.close();
  await reopen(driver);
});
const kill = command("kill", fc.constant(0), async (driver) => {
  driver.test.disk.kill();
  await reopen(driver);
});
const powerCut = command("power cut", fc.nat(10_000), async (driver, seed) => {
  driver.test.disk.powerCut(randomLoss(seed));
  await reopen(driver);
});

const powerCutAsync = command("power cut", fc.nat(10_000), async (driver, seed) => {
  driver.test.disk.powerCut(randomLoss(seed));
  // What had ended on the disk before may still be told.
  await driver.test.time.advance(0);
  driver.doubtAcknowledged();
  await reopen(driver);
});

function randomLoss(seed: number): PowerLoss {
  const random = createSeededRandom(seed);
  return () => {
    const drawn = random.next();
    if (drawn < 0.8) return { kind: drawn < 0.4 ? "kept" : "dropped" };
    return { kind: "torn", reached: () => random.next() < 0.5 };
  };
}

async function holds(start: LogSettings, commands: readonly Command[]): Promise<void> {
  const driver = createDriver(await createTestLog({ settings: start }));
  for (const { step } of commands) await step(driver);
  driver.test.disk.kill();
  await reopen(driver);
}

const several = (kind: fc.Arbitrary<Command>) =>
  fc.array(kind, { minLength: 5, maxLength: 40 }).map((commands) =>
    // What fails is printed by what it did.
    Object.assign(commands, { toString: () => commands.map(({ says }) => says).join("; ") }),
  );

describe("a log is what its model says, whatever happens in whatever order:", () => {
  const always = [append, append, append, flush, highWatermark, deleteBelow, close, kill];

  it(
    "appends, cuts, deletions, retention, reads, lookups, stops, kills and power cuts",
    async () => {
      const kinds = fc.oneof(...always, powerCut, retain(settings), cut, startAnew, read, readOn, readOn, lookUp);
      await fc.assert(
        fc.asyncProperty(several(kinds), (commands) => holds(settings, commands)),
        { numRuns: 100 * testEffort, seed },
      );
    },
    testTimeoutMs,
  );

  it(
    "and, with compaction beside them, of each key the last value",
    async () => {
      const kinds = fc.oneof(...always, powerCut, compact, cutUncommitted);
      await fc.assert(
        fc.asyncProperty(several(kinds), (commands) => holds(compactSettings, commands)),
        { numRuns: 60 * testEffort, seed },
      );
    },
    testTimeoutMs,
  );

  it(
    "and with flush=async, where a power cut may take what was not flushed, and leaves a log that is sound",
    async () => {
      const kinds = fc.oneof(...always, powerCutAsync, retain(asyncSettings), cut, startAnew, read, readOn);
      await fc.assert(
        fc.asyncProperty(several(kinds), (commands) => holds(asyncSettings, commands)),
        { numRuns: 60 * testEffort, seed },
      );
    },
    testTimeoutMs,
  );

  it(
    "and with flush=async and compaction",
    async () => {
      const kinds = fc.oneof(...always, powerCutAsync, compact, cutUncommitted);
      await fc.assert(
        fc.asyncProperty(several(kinds), (commands) => holds({ ...compactSettings, flush: "async" }, commands)),
        { numRuns: 40 * testEffort, seed },
      );
    },
    testTimeoutMs,
  );
});
