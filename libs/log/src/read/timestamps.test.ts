/** A lookup by time equals a linear scan of the records, whatever times they have and whatever happened to the log. */
import { decodeRecords, iterateBatches, noTimestamp } from "@tidemark/record";
import { createSeededRandom, type Random } from "@tidemark/runtime";
import { expect, test } from "vitest";
import { defaultCompactionSettings } from "../settings.ts";
import { testEffort } from "../testing/effort.ts";
import { at, batchAt, createTestLog, everything, type TestLog } from "../testing/fixture.ts";

interface Timed {
  readonly offset: bigint;
  readonly timestamp: bigint;
}

async function recordsOf({ log }: TestLog): Promise<readonly Timed[]> {
  const found: Timed[] = [];
  for (let offset = log.logStartOffset; offset < log.logEndOffset; ) {
    const { bytes, nextOffset } = await log.read(offset, everything);
    if (bytes.length === 0) break;
    for (const step of iterateBatches(bytes)) {
      if (step.kind !== "ok") continue;
      const decoded = decodeRecords(bytes, step.header, { codecs: {}, maxDecompressedBytes: 1e6 });
      if (decoded.kind === "ok") for (const record of decoded.records) found.push(record);
    }
    offset = nextOffset;
  }
  return found.filter(({ offset }) => offset >= log.logStartOffset);
}

async function expectScan(log: TestLog, seed: string): Promise<void> {
  const records = await recordsOf(log);
  for (let timestamp = -3n; timestamp < 25n; timestamp++) {
    const first = records.find((record) => record.timestamp !== noTimestamp && record.timestamp >= timestamp);
    const found = await log.log.offsetForTimestamp(timestamp);
    expect([seed, timestamp, found?.offset, found?.timestamp]).toEqual([
      seed,
      timestamp,
      first?.offset,
      first?.timestamp,
    ]);
  }
}

const upTo = (random: Random, limit: number) => Math.floor(random.next() * limit);

/** Times that go back, that are equal, and none at all. */
async function appendSome(test: TestLog, random: Random): Promise<void> {
  for (let count = 1 + upTo(random, 6); count > 0; count--) {
    const key = `k${upTo(random, 5)}`;
    const timestamp = upTo(random, 22) - 1;
    await test.flush(batchAt(test.log.logEndOffset, { records: 1 + upTo(random, 3), timestamp, key }));
  }
  test.log.setHighWatermark(test.log.logEndOffset);
}

const settings = {
  gaps: true,
  segmentBytes: 500,
  indexIntervalBytes: 100,
  retentionMs: -1,
  compaction: { ...defaultCompactionSettings, minDirtyRatio: 0 },
};

test("a lookup by time finds what a scan finds: behind compaction, cuts, deletions, and starts with damaged time indexes", async () => {
  for (let seed = 1; seed <= 12 * testEffort; seed++) {
    const random = createSeededRandom(seed);
    const log = await createTestLog({ settings });
    const steps: string[] = [String(seed)];
    for (let step = 0; step < 14; step++) {
      const part = random.next();
      const within = at(
        log.log.logStartOffset + BigInt(upTo(random, Number(log.log.logEndOffset - log.log.logStartOffset) + 1)),
      );
      if (part < 0.5) await appendSome(log, random);
      else if (part < 0.65) await log.log.compact(1_800_000_000_000n);
      else if (part < 0.75) await log.log.truncateTo(within);
      else if (part < 0.85) await log.log.moveLogStart(within);
      else {
        await log.log.close();
        for (const { name } of await log.disk.list("/data/log")) {
          if (!name.endsWith("index") || random.next() < 0.7) continue;
          const path = `/data/log/${name}`;
          const size = log.disk.peek(path)?.length ?? 0;
          if (size > 0) log.disk.flipBit(path, { byte: upTo(random, size), bit: upTo(random, 8) });
        }
        await log.reopen();
      }
      steps.push(`${part.toFixed(2)} ${within}`);
      await expectScan(log, steps.join("; "));
    }
  }
});
