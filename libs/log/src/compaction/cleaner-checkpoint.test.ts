import { describe, expect, it } from "vitest";
import { defaultCompactionSettings } from "../settings.ts";
import { at, batchAt, createTestLog, settled } from "../testing/fixture.ts";
import { addRound, type CleanerRounds, markersGoBelow } from "./cleaner-checkpoint.ts";

const now = 1_800_000_000_000n;

describe("what is noted of compaction", () => {
  it("says no more than the log has when a crash came within a cut: what is deleted then stays deleted", async () => {
    const compaction = { ...defaultCompactionSettings, minDirtyRatio: 0, deleteRetentionMs: 1000 };
    const test = await createTestLog({ settings: { gaps: true, segmentBytes: 200, compaction } });
    const appendTo = async (end: number) => {
      for (let offset = Number(test.log.logEndOffset); offset < end; offset++) {
        await test.flush(batchAt(offset, { key: `x${offset}` }));
      }
      test.log.setHighWatermark(test.log.logEndOffset);
    };
    await test.flush(batchAt(0, { key: "k" }));
    await appendTo(12);
    expect((await test.log.compact(now))?.upTo).toBe(at(10));
    const isNoted = ({ path }: { readonly path: string }) => path.includes("cleaner-offset-checkpoint");
    const cut = { isReached: false };
    test.faulty.plan((operation) => {
      cut.isReached ||= isNoted(operation);
      return isNoted(operation) ? { kind: "hang", ms: 1e9 } : undefined;
    });
    test.log.truncateTo(at(2)).catch(() => undefined);
    while (!cut.isReached) await test.time.advance(1);
    test.disk.kill();
    test.faulty.plan(() => undefined);
    await test.reopen();
    await test.flush(batchAt(2, { key: "k", isDelete: true }));
    await appendTo(14);
    // What the start had cut off is so for the next one, too.
    await settled(test);
    test.disk.powerCut();
    await test.reopen();
    await appendTo(16);
    await test.log.compact(now + 5000n);
    const { bytes } = await test.log.read(at(0), { maxBytes: 100_000 });
    const text = new TextDecoder().decode(bytes);
    // The record at 0 is gone, and the marker that deletes it is not, which has its time before it.
    expect([text.includes("value 0"), text.includes("value 1")]).toEqual([false, true]);
    expect((await test.log.read(at(2), { maxBytes: 1 })).nextOffset).toBe(at(3));
  });

  it("is little, however many rounds there are, and lets no delete marker go too early or far too late", () => {
    const retentionMs = 64_000;
    let rounds: CleanerRounds = [];
    const made: bigint[] = [];
    for (let round = 0n; round < 1000n; round++) {
      // Many at short intervals, now and then a long one.
      const time = now + round * 100n + (round / 300n) * 30_000n;
      made.push(time);
      rounds = addRound(rounds, { upTo: at(round + 1n), at: time }, retentionMs);
      const gone = Number(markersGoBelow(rounds, time, retentionMs));
      const due = made.filter((each) => time - each >= BigInt(retentionMs)).length;
      const overdue = made.filter((each) => time - each >= BigInt(retentionMs) + 1000n).length;
      expect([gone <= due, gone >= overdue, rounds.length <= 130]).toEqual([true, true, true]);
    }
    expect(rounds.at(-1)?.upTo).toBe(at(1000));
  });
});
