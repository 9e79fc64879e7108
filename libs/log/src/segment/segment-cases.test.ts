/** Failure case 8: segments that are gone. */
import { describe, expect, it } from "vitest";
import { defaultCompactionSettings } from "../settings.ts";
import { at, batchAt, createTestLog, everything, namesOf, settled, type TestLogOptions } from "../testing/fixture.ts";

describe("case 8: a segment", () => {
  const segmentAt = (base: number) => `/data/log/${String(base).padStart(20, "0")}.log`;
  async function severalSegments(options: TestLogOptions = {}) {
    const test = await createTestLog({ ...options, settings: { segmentBytes: 200, ...options.settings } });
    for (let offset = 0; offset < 8; offset++) await test.flush(batchAt(offset, { key: `k${offset}` }));
    test.log.setHighWatermark(at(8));
    await settled(test);
    return test;
  }

  it("that is gone from the middle is damage at the start, whatever stood before it", async () => {
    const test = await severalSegments();
    const bases = (await namesOf(test))
      .filter((name) => name.endsWith(".log"))
      .map((name) => Number(name.slice(0, 20)));
    expect(bases.length).toBeGreaterThan(3);
    for (const base of bases.slice(1, -1)) {
      const { disk } = test;
      const bytes = disk.peek(segmentAt(base))!;
      disk.kill();
      await disk.remove(segmentAt(base));
      await test.reopen();
      expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "brokenSequence", offset: at(base) } });
      await disk.remove("/data/log/damage");
      disk.put(segmentAt(base), bytes);
    }
    await test.reopen();
    expect(test.log.status.kind).toBe("online");
  });

  it("that is gone from the middle of a compacted log is damage as well", async () => {
    const compaction = { ...defaultCompactionSettings, minDirtyRatio: 0 };
    const test = await severalSegments({ settings: { gaps: true, compaction } });
    for (let offset = 8; offset < 12; offset++) await test.flush(batchAt(offset, { key: "k1" }));
    test.log.setHighWatermark(at(12));
    await test.log.compact(1_800_000_000_000n);
    await test.log.close();
    const bases = (await namesOf(test)).filter((name) => name.endsWith(".log"));
    expect(bases.length).toBeGreaterThan(2);
    await test.disk.remove(`/data/log/${bases[1]!}`);
    await test.reopen();
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "brokenSequence" } });
  });

  it("that goes while the log is open is damage when it is read", async () => {
    const test = await severalSegments();
    await test.log.close();
    await test.reopen();
    await test.disk.remove(segmentAt(0));
    // Whoever has it open still has it.
    test.context.files.forget(segmentAt(0));
    await expect(test.log.read(at(0), everything)).rejects.toMatchObject({ code: "OFFLINE" });
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "missing" } });
  });
});
