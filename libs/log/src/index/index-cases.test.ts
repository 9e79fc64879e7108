/** Failure case 5: index files that are wrong, or of another log. */
import { describe, expect, it } from "vitest";
import { at, batchAt, createTestLog, logFile, namesOf, rangesOf, type TestLog } from "../testing/fixture.ts";

describe("case 5: an index", () => {
  const batches = 60;
  const damage: Record<string, (bytes: Uint8Array) => Uint8Array | undefined> = {
    missing: () => undefined,
    empty: () => new Uint8Array(0),
    cut: (bytes) => bytes.subarray(0, bytes.length - 13),
    zeroed: (bytes) => new Uint8Array(bytes.length),
  };

  async function closedLog() {
    const test = await createTestLog({ settings: { segmentBytes: 2000, indexIntervalBytes: 100 } });
    for (let offset = 0; offset < batches; offset++) {
      await test.flush(batchAt(offset, { timestamp: 1000 * ((offset * 7) % batches) }));
    }
    await test.log.close();
    return test;
  }
  async function expectSound(test: TestLog) {
    for (let offset = 0; offset < batches; offset++) {
      expect(rangesOf((await test.log.read(at(offset), { maxBytes: 1 })).bytes)).toEqual([`${offset}..${offset + 1}`]);
      const timestamp = BigInt(1000 * offset);
      const first = Array.from({ length: batches }, (_, n) => n).find(
        (n) => BigInt(1000 * ((n * 7) % batches)) >= timestamp,
      );
      expect((await test.log.offsetForTimestamp(timestamp))?.offset).toBe(at(first!));
    }
  }

  it("of a segment that was removed, and that a power cut brought back, misleads nobody in a log that begins there anew", async () => {
    const test = await closedLog();
    await test.reopen();
    test.log.setHighWatermark(at(batches));
    const indexes = (await namesOf(test)).filter((name) => name.endsWith("index")).slice(0, 4);
    const survivors = indexes.map((name) => ({
      path: `/data/log/${name}`,
      bytes: test.disk.peek(`/data/log/${name}`)!,
    }));
    await test.log.moveLogStart(at(batches - 1));
    const bringBack = () => {
      for (const { path, bytes } of survivors) test.disk.put(path, bytes);
    };
    test.disk.kill();
    bringBack();
    const log = await test.reopen();
    expect([log.status.kind, log.logStartOffset, log.segmentCount]).toEqual(["online", at(batches - 1), 1]);
    await log.startAnewAt(at(0));
    for (let offset = 0; offset < batches; offset++) await test.flush(batchAt(offset, { timestamp: 5000 + offset }));
    await test.log.close();
    bringBack();
    await test.reopen();
    for (let offset = 0; offset < batches; offset++) {
      expect(rangesOf((await test.log.read(at(offset), { maxBytes: 1 })).bytes)).toEqual([`${offset}..${offset + 1}`]);
      expect(await test.log.offsetForTimestamp(BigInt(5000 + offset))).toMatchObject({ offset: at(offset) });
    }
  });

  it.each(Object.keys(damage))("that is %s is made anew, and a lookup equals a linear scan", async (kind) => {
    for (const ending of [".index", ".timeindex"]) {
      const test = await closedLog();
      for (const name of (await namesOf(test)).filter((entry) => entry.endsWith(ending))) {
        const path = `/data/log/${name}`;
        const damaged = damage[kind]!(test.disk.peek(path)!);
        if (damaged === undefined) await test.disk.remove(path);
        else test.disk.put(path, damaged);
      }
      await test.reopen();
      await expectSound(test);
    }
  });

  it("that cannot be written for want of space is done without: reads and appends go on", async () => {
    const test = await closedLog();
    for (const name of (await namesOf(test)).filter((entry) => entry.endsWith("index"))) {
      await test.disk.remove(`/data/log/${name}`);
    }
    test.faulty.plan(({ kind, path }) =>
      path.endsWith("index") && (kind === "create" || kind === "write")
        ? { kind: "fail", code: "NO_SPACE" }
        : undefined,
    );
    await test.reopen();
    await expectSound(test);
    await test.flush(batchAt(batches));
    await test.log.close();
    await test.reopen();
    expect([test.log.status.kind, test.log.logEndOffset]).toEqual(["online", at(batches + 1)]);
  });

  it("that is stale but plausible does not mislead", async () => {
    const test = await closedLog();
    const indexes = (await namesOf(test)).filter((name) => name.endsWith("index"));
    const other = await createTestLog({ settings: { segmentBytes: 2000, indexIntervalBytes: 100 } });
    for (let offset = 0; offset < batches; offset++) {
      await other.flush(batchAt(offset, { value: "x".repeat(1 + (offset % 5)), timestamp: 5 * offset }));
    }
    await other.log.close();
    for (const name of indexes) {
      const stale = other.disk.peek(`/data/log/${name}`);
      if (stale !== undefined) test.disk.put(`/data/log/${name}`, stale);
    }
    await test.reopen();
    await expectSound(test);
  });
});

describe("case 5: an index of another log", () => {
  it("whose batches are as large does not mislead a lookup by time, though the other index is the log's own", async () => {
    const logOf = async (firstTime: number) => {
      const test = await createTestLog({ settings: { indexIntervalBytes: 1 } });
      for (let offset = 0; offset < 20; offset++) await test.flush(batchAt(offset, { timestamp: firstTime + offset }));
      await test.log.close();
      return test;
    };
    const [test, other] = [await logOf(2000), await logOf(1990)];
    const path = logFile.replace(/log$/, "timeindex");
    test.disk.put(path, other.disk.peek(path)!);
    await test.reopen();
    for (let offset = 0; offset < 20; offset++) {
      expect(await test.log.offsetForTimestamp(BigInt(2000 + offset))).toMatchObject({ offset: at(offset) });
    }
  });

  it("that ends with the very same batch does not mislead", async () => {
    const sizes = [50, 300, 50, 300, 50, 300];
    const logOf = async (values: readonly number[]) => {
      const test = await createTestLog({ settings: { indexIntervalBytes: 1 } });
      for (const [batch, size] of values.entries()) {
        await test.flush(batchAt(2 * batch, { records: 2, value: "x".repeat(size) }));
      }
      await test.flush(batchAt(12));
      await test.log.close();
      return test;
    };
    const [test, other] = [await logOf(sizes), await logOf(sizes.toReversed())];
    for (const ending of ["index", "timeindex"]) {
      const path = logFile.replace(/log$/, ending);
      test.disk.put(path, other.disk.peek(path)!);
    }
    await test.reopen();
    for (const offset of [3, 5, 7, 9, 11]) {
      const { bytes } = await test.log.read(at(offset), { maxBytes: 1 });
      expect(rangesOf(bytes)).toEqual([`${offset - 1}..${offset + 1}`]);
    }
    expect(test.log.status.kind).toBe("online");
  });
});
