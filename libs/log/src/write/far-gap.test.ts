/** Offsets in an index are relative to the segment's, 31 bits. Compaction may leave less than two batches in that many. */
import { describe, expect, it } from "vitest";
import { defaultCompactionSettings, defaultLogSettings } from "../settings.ts";
import {
  at,
  batchAt,
  contentOf,
  createTestLog,
  logDirectory,
  logFile,
  namesOf,
  rangesOf,
  type TestLog,
} from "../testing/fixture.ts";

/** Its lower 32 bits are those of a place near by. */
const far = 3n * 2n ** 32n + 7n;
const settings = { gaps: true, indexIntervalBytes: 0 };
const segmentsOf = async (test: TestLog) =>
  (await namesOf(test)).filter((name) => name.endsWith(".log")).map((name) => BigInt(name.slice(0, 20)));

describe("a log that copies what compaction left of its leader's, with batches further apart than a segment reaches,", () => {
  const content = ["0..1", `${far}..${far + 1n}`, `${far + 1n}..${far + 2n}`, `${2n * far}..${2n * far + 3n}`];
  async function copied() {
    const test = await createTestLog({ settings, recentBytes: 0 });
    test.log.append(Buffer.concat([batchAt(0), batchAt(far)]));
    await test.flush(batchAt(far + 1n));
    await test.flush(batchAt(2n * far, { records: 3, timestamp: 1_700_000_009_000 }));
    test.log.setHighWatermark(test.log.logEndOffset);
    return test;
  }
  async function expectSound({ log }: TestLog) {
    expect([log.status.kind, await contentOf(log)]).toEqual(["online", content]);
    const first = async (offset: bigint) => rangesOf((await log.read(at(offset), { maxBytes: 1 })).bytes);
    expect([await first(far), await first(far - 1n), await first(2n * far + 1n)]).toEqual([
      [content[1]],
      [content[1]],
      [content[3]],
    ]);
    expect(await log.offsetForTimestamp(1_700_000_009_001n)).toMatchObject({ offset: at(2n * far + 1n) });
  }

  it("finds each, also after a stop, a kill, and without its indexes", async () => {
    const test = await copied();
    await expectSound(test);
    expect(await segmentsOf(test)).toEqual([0n, far, 2n * far]);
    await test.log.close();
    await test.reopen();
    await expectSound(test);
    for (const name of await namesOf(test))
      if (name.endsWith("index")) await test.disk.remove(`${logDirectory}/${name}`);
    test.disk.kill();
    await test.reopen();
    await expectSound(test);
  });

  it("is compacted itself, and no start takes that for damage", async () => {
    const test = await copied();
    await test.flush(batchAt(2n * far + 3n));
    const compaction = { ...defaultCompactionSettings, minDirtyRatio: 0 };
    test.log.configure({ ...defaultLogSettings, ...settings, compaction });
    await test.log.compact(1_800_000_000_000n);
    await test.log.close();
    await test.reopen();
    expect([test.log.status.kind, test.log.logEndOffset]).toEqual(["online", 2n * far + 4n]);
  });

  it("begins at a batch that is far behind the log start", async () => {
    const test = await createTestLog({ settings });
    await test.flush(batchAt(far));
    await test.log.close();
    await test.reopen();
    expect([test.log.logStartOffset, await contentOf(test.log)]).toEqual([at(0), [`${far}..${far + 1n}`]]);
  });

  it("takes the roll back that went ahead for a batch that was refused then", async () => {
    const test = await createTestLog({ settings });
    await test.flush(batchAt(0));
    test.faulty.plan(({ kind, path }) =>
      kind === "write" && path.endsWith(".log") ? { kind: "fail", code: "NO_SPACE" } : undefined,
    );
    // So far that an index can say that it follows.
    await expect(test.flush(batchAt(3n * 2n ** 30n))).rejects.toMatchObject({ code: "NO_SPACE" });
    test.faulty.plan(() => undefined);
    await test.flush(batchAt(1), batchAt(2));
    expect(await segmentsOf(test)).toEqual([0n]);
    await test.log.close();
    await test.reopen();
    expect([test.log.status.kind, await contentOf(test.log)]).toEqual(["online", ["0..1", "1..2", "2..3"]]);
  });
});

it("a base offset further on than its segment reaches is damage, to a read and to a start", async () => {
  for (const [use, kind] of [
    ["read", "corruptBatch"],
    ["start", "brokenSequence"],
  ] as const) {
    const test = await createTestLog({ settings, recentBytes: 0 });
    await test.flush(batchAt(0), batchAt(1), batchAt(2));
    await test.log.close();
    if (use === "read") await test.reopen();
    for (const ending of ["index", "timeindex"]) await test.disk.remove(logFile.replace(/log$/, ending));
    // 2 ** 33, which leaves the lower 32 bits as they are.
    test.disk.flipBit(logFile, { byte: 2 * batchAt(0).length + 3, bit: 1 });
    if (use === "read") await expect(test.log.read(at(2), { maxBytes: 1 })).rejects.toMatchObject({ code: "OFFLINE" });
    else await test.reopen();
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind } });
  }
});
