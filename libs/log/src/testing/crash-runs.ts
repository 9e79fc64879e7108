import type { FaultPlan } from "@tidemark/disk";
import { defaultCompactionSettings } from "../settings.ts";
import type { CrashRun } from "./crash-points.ts";
import { at, batchAt, epoch, whileTimeGoes } from "./fixture.ts";

/** What was written waits for its flush. */
const slowSyncs: FaultPlan = ({ kind, path }) =>
  kind === "sync" && path.endsWith(".log") ? { kind: "delay", ms: 100 } : undefined;
const small = { segmentBytes: 400, indexIntervalBytes: 100 };

/** Short runs whose every crash point is tried. Between them they make every change that a log makes to a disk. */
export const crashRuns = {
  "appends, several in one flush": {
    drive: async (driver) => {
      await driver.flush(batchAt(0), batchAt(1, { records: 3 }));
      driver.append(batchAt(4, { value: "x".repeat(1500) }));
      driver.append(batchAt(5), batchAt(6, { leaderEpoch: 2 }));
      await driver.flush(batchAt(7, { leaderEpoch: 2 }));
    },
  },
  "a roll": {
    settings: small,
    drive: async (driver) => {
      for (let offset = 0; offset < 9; offset++) await driver.flush(batchAt(offset, { leaderEpoch: offset >> 2 }));
    },
  },
  "a cut within a segment, and appends after it": {
    drive: async (driver) => {
      await driver.flush(batchAt(0), batchAt(1, { leaderEpoch: 1 }), batchAt(2, { leaderEpoch: 1 }));
      driver.test.log.setHighWatermark(at(1));
      await driver.cut(1);
      await driver.flush(batchAt(1, { leaderEpoch: 3, value: "other" }));
    },
  },
  "cuts between batches, where compaction left nothing, and within one": {
    settings: { ...small, gaps: true },
    drive: async (driver) => {
      await driver.flush(batchAt(0, { records: 3 }), batchAt(3, { records: 4 }));
      await driver.flush(batchAt(10), batchAt(11, { records: 3, leaderEpoch: 1 }));
      driver.test.log.setHighWatermark(at(2));
      await driver.test.time.advance(2000);
      await driver.cut(9);
      await driver.flush(batchAt(9, { leaderEpoch: 2 }));
      await driver.cut(5);
      await driver.flush(batchAt(Number(driver.test.log.logEndOffset), { leaderEpoch: 3 }));
    },
  },
  "a cut over segments while a flush is out": {
    settings: small,
    drive: async (driver) => {
      for (let offset = 0; offset < 8; offset++) await driver.flush(batchAt(offset, { leaderEpoch: offset >> 1 }));
      driver.append(batchAt(8, { leaderEpoch: 4 }));
      driver.test.faulty.plan(slowSyncs);
      await driver.test.time.advance(10);
      await whileTimeGoes(driver.test.time, driver.cut(3));
      driver.test.faulty.plan(() => undefined);
      await driver.flush(batchAt(3, { leaderEpoch: 7 }), batchAt(4, { leaderEpoch: 7 }));
    },
  },
  "a new beginning, above and below": {
    settings: small,
    drive: async (driver) => {
      for (let offset = 0; offset < 6; offset++) await driver.flush(batchAt(offset));
      await driver.startAnew(100);
      await driver.flush(batchAt(100), batchAt(101));
      await driver.startAnew(50);
      await driver.flush(batchAt(50));
    },
  },
  "the deletion of records": {
    settings: small,
    drive: async (driver) => {
      for (let offset = 0; offset < 9; offset++) await driver.flush(batchAt(offset, { leaderEpoch: offset >> 1 }));
      driver.test.log.setHighWatermark(at(9));
      await driver.deleteBelow(2);
      await driver.deleteBelow(7);
      await driver.flush(batchAt(9, { leaderEpoch: 5 }));
    },
  },
  "the deletion of two segments, of whose files any part is still there": {
    settings: small,
    exhaustiveMax: 8,
    drive: async (driver) => {
      for (let offset = 0; offset < 3; offset++) await driver.flush(batchAt(offset, { value: "x".repeat(300) }));
      driver.test.log.setHighWatermark(at(3));
      await driver.test.time.advance(2000);
      await driver.deleteBelow(2);
    },
  },
  compaction: {
    settings: { ...small, gaps: true, compaction: { ...defaultCompactionSettings, minDirtyRatio: 0 } },
    drive: async (driver) => {
      for (let offset = 0; offset < 10; offset++) await driver.flush(batchAt(offset, { key: `k${offset % 2}` }));
      driver.test.log.setHighWatermark(at(10));
      await driver.compact(1_800_000_000_000n);
      await driver.flush(batchAt(10, { key: "k0" }));
    },
  },
  "a compaction that merges segments": {
    settings: { ...small, gaps: true, compaction: { ...defaultCompactionSettings, minDirtyRatio: 0 } },
    drive: async (driver) => {
      const write = async (from: number, to: number) => {
        for (let offset = from; offset < to; offset++) {
          const key = offset % 5 === 0 ? `only ${offset}` : `k${offset % 2}`;
          await driver.flush(batchAt(offset, { key, leaderEpoch: offset >> 2 }));
        }
        driver.test.log.setHighWatermark(at(to));
      };
      await write(0, 11);
      // What is left is small, so that the next round merges.
      await driver.compact(1_800_000_000_000n);
      await write(11, 16);
      await driver.compact(1_800_000_000_000n);
      await driver.flush(batchAt(16, { key: "k0", leaderEpoch: 4 }));
    },
  },
  "a clean stop, and the next start": {
    settings: small,
    drive: async (driver) => {
      for (let offset = 0; offset < 4; offset++) await driver.flush(batchAt(offset));
      driver.test.log.setHighWatermark(at(3));
      await driver.test.log.close();
      await driver.test.reopen();
      await driver.flush(batchAt(4));
    },
  },
  "the start after a kill, which writes the tail anew": {
    settings: { ...small, segmentBytes: 2000 },
    drive: async (driver) => {
      await driver.flush(batchAt(0), batchAt(1));
      await driver.test.time.advance(2000);
      driver.test.faulty.plan(slowSyncs);
      driver.append(batchAt(2, { value: "x".repeat(700) }));
      await driver.test.time.advance(10);
      driver.test.disk.kill();
      driver.test.faulty.plan(() => undefined);
      const log = await driver.test.reopen();
      // Where there was no room, it is tried again.
      await whileTimeGoes(driver.test.time, log.flushed(log.logEndOffset));
    },
  },
  "the notes of the high watermark": {
    drive: async (driver) => {
      for (let offset = 0; offset < 3; offset++) {
        await driver.flush(batchAt(offset));
        driver.test.log.setHighWatermark(at(offset));
        await driver.test.time.advance(1500);
      }
    },
  },
  "leader epochs without records": {
    drive: async (driver) => {
      driver.test.log.beginEpoch(epoch(1));
      await driver.flush(batchAt(0, { leaderEpoch: 1 }));
      driver.test.log.beginEpoch(epoch(2));
      driver.test.log.beginEpoch(epoch(3));
      await driver.flush(batchAt(1, { leaderEpoch: 3 }));
    },
  },
} satisfies Record<string, CrashRun>;
