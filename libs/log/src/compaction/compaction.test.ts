import { type BatchHeader, decodeRecords, iterateBatches } from "@tidemark/record";
import { describe, expect, it } from "vitest";
import { defaultCompactionSettings, defaultLogSettings } from "../settings.ts";
import {
  at,
  batchAt,
  createTestLog,
  epoch,
  everything,
  type TestLog,
  type TestLogOptions,
} from "../testing/fixture.ts";

const now = 1_800_000_000_000n;
const rules = { ...defaultCompactionSettings, minDirtyRatio: 0 };
const compacted = (changed: Partial<typeof rules> = {}): NonNullable<TestLogOptions["settings"]> => ({
  gaps: true,
  segmentBytes: 200,
  compaction: { ...rules, ...changed },
});

/** Offsets with key and value, read from the log start on. */
async function contentOf({ log }: TestLog): Promise<string[]> {
  const found: string[] = [];
  const text = (bytes: Uint8Array | null) => (bytes === null ? "-" : new TextDecoder().decode(bytes));
  for (let offset = log.logStartOffset; offset < log.logEndOffset; ) {
    const { bytes, nextOffset } = await log.read(offset, everything);
    if (bytes.length === 0) break;
    for (const step of iterateBatches(bytes)) {
      if (step.kind !== "ok") continue;
      const decoded = decodeRecords(bytes, step.header, { codecs: {}, maxDecompressedBytes: 1e6 });
      if (decoded.kind === "ok") {
        for (const record of decoded.records) found.push(`${record.offset} ${text(record.key)}=${text(record.value)}`);
      }
    }
    offset = nextOffset;
  }
  return found;
}

async function headersOf({ log }: TestLog): Promise<BatchHeader[]> {
  const found: BatchHeader[] = [];
  for (let offset = log.logStartOffset; offset < log.logEndOffset; ) {
    const { bytes, nextOffset } = await log.read(offset, everything);
    for (const step of iterateBatches(bytes)) if (step.kind === "ok") found.push(step.header);
    offset = nextOffset;
  }
  return found;
}

const sizesOf = async ({ disk }: TestLog) =>
  (await disk.list("/data/log"))
    .filter(({ name }) => name.endsWith(".log"))
    .map(({ name }) => disk.peek(`/data/log/${name}`)?.length ?? 0);

async function logOf(keys: string, options: TestLogOptions["settings"] = compacted()) {
  const test = await createTestLog({ settings: options });
  for (const [offset, key] of Array.from(keys).entries()) {
    const isDelete = key === key.toUpperCase();
    await test.flush(batchAt(offset, { key: key.toLowerCase(), value: String(offset), isDelete }));
  }
  test.log.setHighWatermark(test.log.logEndOffset);
  return test;
}

describe("compaction", () => {
  it("keeps the last value of each key at its offset, and leaves the active segment alone", async () => {
    const test = await logOf("abababccc");
    await test.log.compact(now);
    expect(await contentOf(test)).toEqual(["4 a=4", "5 b=5", "7 c=7", "8 c=8"]);
    expect(test.log.logEndOffset).toBe(at(9));
  });

  it("takes records out of the middle of a batch and keeps the batch sound", async () => {
    const test = await createTestLog({ settings: compacted() });
    await test.flush(
      batchAt(0, { key: "a", records: 3, value: "x" }),
      batchAt(3, { key: "b" }),
      batchAt(4, { key: "c" }),
    );
    await test.flush(batchAt(5, { key: "d" }), batchAt(6, { key: "e" }));
    test.log.setHighWatermark(at(7));
    await test.log.compact(now);
    expect((await contentOf(test))[0]).toBe("2 a=x");
    test.disk.kill();
    await test.reopen();
    expect((await contentOf(test))[0]).toBe("2 a=x");
  });

  it("never touches what is at or above the high watermark", async () => {
    const test = await createTestLog({ settings: compacted() });
    for (let offset = 0; offset < 8; offset++) await test.flush(batchAt(offset, { key: "a" }));
    test.log.setHighWatermark(at(3));
    await test.log.compact(now);
    const offsets = (await contentOf(test)).map((record) => Number(record.split(" ")[0]));
    expect(offsets).toEqual([2, 3, 4, 5, 6, 7]);
  });

  it("keeps delete markers for their time, then drops them", async () => {
    const test = await logOf("aAbcde", compacted({ deleteRetentionMs: 1000 }));
    await test.log.compact(now);
    expect((await contentOf(test))[0]).toBe("1 a=-");
    await test.log.compact(now + 999n);
    expect((await contentOf(test))[0]).toBe("1 a=-");
    await test.log.compact(now + 1000n);
    expect((await contentOf(test))[0]).toBe("2 b=2");
  });

  it("goes as far as its memory for producers, and on in the next round", async () => {
    // The smallest map holds 64 producers.
    const test = await createTestLog({ settings: compacted({ mapBytes: 1 }) });
    const from = (offset: number) => ({ id: BigInt(offset), epoch: 0, sequence: 0 });
    for (let offset = 0; offset < 150; offset++) {
      await test.flush(batchAt(offset, { key: "k", producer: from(offset) }));
    }
    test.log.setHighWatermark(at(150));
    expect((await test.log.compact(now))?.upTo).toBe(at(64));
    expect((await test.log.compact(now))?.upTo).toBe(at(128));
    while ((await test.log.compact(now)) !== undefined);
    expect((await contentOf(test)).at(-1)).toBe("149 k=value 149");
    // The last batch of each stays for its sequence, most of them without records.
    expect((await headersOf(test)).map(({ producerId }) => producerId)).toEqual(
      Array.from({ length: 150 }, (_, offset) => BigInt(offset)),
    );
  });

  it("goes as far as its memory for keys, and on in the next round", async () => {
    // The smallest map holds 57 keys.
    const test = await createTestLog({ settings: compacted({ mapBytes: 1 }) });
    for (let offset = 0; offset < 150; offset++) await test.flush(batchAt(offset, { key: `k${offset % 75}` }));
    test.log.setHighWatermark(at(150));
    expect((await test.log.compact(now))?.upTo).toBe(at(57));
    expect(await contentOf(test)).toHaveLength(150);
    while ((await test.log.compact(now)) !== undefined);
    const left = await contentOf(test);
    expect(left.length).toBeLessThan(95);
    expect(new Set(left.slice(-75).map((record) => record.split(/[ =]/)[1])).size).toBe(75);
  });

  it("waits until enough is dirty, and until records are old enough", async () => {
    const lazy = await logOf("aaaaaa", compacted({ minDirtyRatio: 0.9 }));
    expect(await lazy.log.compact(now)).toBeDefined();
    await lazy.flush(batchAt(6, { key: "a" }), batchAt(7, { key: "a" }), batchAt(8, { key: "b" }));
    lazy.log.setHighWatermark(at(9));
    const young = await logOf("aaaaaa", compacted({ minLagMs: 1000 }));
    expect(await young.log.compact(1_700_000_000_500n)).toBeUndefined();
    expect(await young.log.compact(1_700_000_002_000n)).toBeDefined();
  });

  it("keeps the last batch of a producer for its sequence, without its records", async () => {
    const test = await createTestLog({ settings: compacted() });
    const producer = { id: 7n, epoch: 0, sequence: 0 };
    await test.flush(batchAt(0, { key: "a", producer }), batchAt(1, { key: "a" }), batchAt(2, { key: "b" }));
    await test.flush(batchAt(3, { key: "c" }), batchAt(4, { key: "d" }));
    test.log.setHighWatermark(at(5));
    await test.log.compact(now);
    const { bytes } = await test.log.read(at(0), everything);
    const first = [...iterateBatches(bytes)][0];
    expect(first).toMatchObject({ kind: "ok", header: { baseOffset: at(0), recordCount: 0, producerId: 7n } });
  });

  it("drops a producer's empty batch once a later one of that producer stays", async () => {
    const test = await createTestLog({ settings: compacted() });
    const producer = (sequence: number) => ({ id: 7n, epoch: 0, sequence });
    const write = async (from: number, sequence: number) => {
      await test.flush(batchAt(from, { key: "a", producer: producer(sequence) }));
      await test.flush(
        batchAt(from + 1, { key: "a" }),
        batchAt(from + 2, { key: "b" }),
        batchAt(from + 3, { key: "c" }),
      );
      test.log.setHighWatermark(test.log.logEndOffset);
      await test.log.compact(now);
    };
    const emptyOnes = async () =>
      (await headersOf(test)).flatMap(({ recordCount, baseOffset }) => (recordCount === 0 ? [baseOffset] : []));
    // Where the leader epoch begins is a batch that stays for itself.
    await test.flush(batchAt(0, { key: "first" }));
    await write(1, 0);
    expect(await emptyOnes()).toEqual([at(1)]);
    await write(5, 1);
    expect(await emptyOnes()).toEqual([at(5)]);
  });

  describe("keeps the place where a leader epoch begins (KIP-101)", () => {
    const starts = [
      { leaderEpoch: epoch(0), startOffset: at(0) },
      { leaderEpoch: epoch(2), startOffset: at(2) },
      { leaderEpoch: epoch(5), startOffset: at(4) },
    ];
    /** Of every leader epoch but the last, every record goes; of that one the first does. */
    const threeEpochs = async () => {
      const test = await createTestLog({ settings: compacted() });
      const leaderEpochs = [0, 0, 2, 2, 5, 5, 5, 5, 5];
      for (const [offset, leaderEpoch] of leaderEpochs.entries()) {
        await test.flush(batchAt(offset, { key: offset < 6 ? "a" : `k${offset}`, leaderEpoch }));
      }
      test.log.setHighWatermark(test.log.logEndOffset);
      expect(test.log.epochs).toEqual(starts);
      await test.log.compact(now);
      return test;
    };

    it("by its first batch, empty, at every later round too", async () => {
      const test = await threeEpochs();
      for (const later of [now, now + 1n]) {
        await test.flush(batchAt(Number(test.log.logEndOffset), { key: "a", leaderEpoch: 5 }));
        test.log.setHighWatermark(test.log.logEndOffset);
        await test.log.compact(later);
        const empty = (await headersOf(test)).filter(({ recordCount }) => recordCount === 0);
        expect(empty.map(({ leaderEpoch, baseOffset }) => ({ leaderEpoch, startOffset: baseOffset }))).toEqual(starts);
      }
    });

    it("so that a start without the list of leader epochs finds the same", async () => {
      const test = await threeEpochs();
      test.disk.kill();
      await test.disk.remove("/data/log/leader-epoch-checkpoint");
      await test.reopen();
      expect(test.log.epochs).toEqual(starts);
    });

    it("so that a replica which copies the log finds the same", async () => {
      const test = await threeEpochs();
      const copy = await createTestLog({ settings: compacted() });
      for (let offset = at(0); offset < test.log.logEndOffset; ) {
        const { bytes, nextOffset } = await test.log.read(offset, { maxBytes: 1 });
        copy.log.append(bytes);
        offset = nextOffset;
      }
      await copy.log.flushed(test.log.logEndOffset);
      expect(copy.log.epochs).toEqual(starts);
      expect(copy.log.endOffsetFor(epoch(2))).toEqual(test.log.endOffsetFor(epoch(2)));
    });
  });

  it("leaves readers a way to the log end while the active segment is empty", async () => {
    const test = await logOf("a");
    while (test.log.segmentCount < 2) await test.flush(batchAt(Number(test.log.logEndOffset)));
    // A roll whose batch finds no room; what is right before has no key, and goes.
    const segments = test.log.segmentCount;
    test.faulty.plan(({ kind, path }) =>
      kind === "write" && path.endsWith(".log") ? { kind: "fail", code: "NO_SPACE" } : undefined,
    );
    const size = (await sizesOf(test)).at(-1) ?? 0;
    const large = batchAt(Number(test.log.logEndOffset), { value: "x".repeat(200 - size) });
    await expect(test.flush(large)).rejects.toMatchObject({ code: "NO_SPACE" });
    test.faulty.plan(() => undefined);
    expect([test.log.segmentCount, (await sizesOf(test)).at(-1)]).toEqual([segments + 1, 0]);
    const end = test.log.logEndOffset;
    test.log.setHighWatermark(end);
    await test.log.compact(now);
    let offset = at(0);
    for (let reads = 0; reads < 10 && offset < end; reads++)
      ({ nextOffset: offset } = await test.log.read(offset, everything));
    expect(offset).toBe(end);
    expect(await contentOf(test)).toEqual(["0 a=0"]);
  });

  it("lets readers and appends go on, and reads are of the old or the new segment", async () => {
    const test = await logOf("abababababababab");
    const reads = Array.from({ length: 16 }, (_, offset) => test.log.read(at(offset), everything));
    const compacting = test.log.compact(now);
    test.log.append(batchAt(16, { key: "z" }));
    await Promise.all([...reads, compacting, test.log.flushed(at(17))]);
    expect((await contentOf(test)).at(-1)).toBe("16 z=value 16");
  });

  it("writes small neighbours into one segment, as large as a segment may be", async () => {
    const test = await createTestLog({ settings: compacted({}) });
    for (let offset = 0; offset < 60; offset++) await test.flush(batchAt(offset, { key: `k${offset % 4}` }));
    test.log.setHighWatermark(at(60));
    const before = test.log.segmentCount;
    await test.log.compact(now);
    // Sizes count as they were before the round.
    expect(test.log.segmentCount).toBe(before);
    test.log.configure({ ...defaultLogSettings, ...compacted({}), segmentBytes: 400 });
    for (let offset = 60; offset < 66; offset++) await test.flush(batchAt(offset, { key: "other" }));
    test.log.setHighWatermark(at(66));
    await test.log.compact(now);
    expect(test.log.segmentCount).toBeLessThan(before / 3);
    const left = await contentOf(test);
    const last = ["56 k0=value 56", "57 k1=value 57", "58 k2=value 58", "59 k3=value 59"];
    expect(left.filter((record) => record.includes("k"))).toEqual(last);
    expect(Math.max(...(await sizesOf(test)))).toBeLessThanOrEqual(400);
    test.disk.powerCut();
    await test.reopen();
    expect(test.log.status.kind).toBe("online");
    expect(await contentOf(test)).toEqual(left);
  });

  it("lets reads go on that began before segments were merged", async () => {
    const test = await logOf("abcdefghijklmnop");
    await test.log.compact(now);
    await test.flush(...Array.from("abcdefghijklmnop", (key, n) => batchAt(16 + n, { key })));
    test.log.setHighWatermark(test.log.logEndOffset);
    const compacting = { isOver: false };
    const compaction = test.log.compact(now).finally(() => {
      compacting.isOver = true;
    });
    while (!compacting.isOver) {
      const reads = Array.from({ length: 32 }, (_, offset) => test.log.read(at(offset), everything));
      for (const { nextOffset } of await Promise.all(reads)) expect(nextOffset).toBeGreaterThan(0n);
    }
    await compaction;
    expect(test.log.status.kind).toBe("online");
  });

  it("gives the space back when the disk is full, and harms nothing", async () => {
    const test = await logOf("abababab");
    const isAside = (path: string) => path.endsWith(".cleaned.aside");
    test.faulty.plan(({ kind, path }) =>
      kind === "write" && isAside(path) ? { kind: "short", bytes: 10, code: "NO_SPACE" } : undefined,
    );
    await expect(test.log.compact(now)).rejects.toMatchObject({ code: "NO_SPACE" });
    expect((await test.disk.list("/data/log")).filter(({ name }) => isAside(name))).toEqual([]);
    expect(await contentOf(test)).toHaveLength(8);
    test.faulty.plan(() => undefined);
    expect(await test.log.compact(now)).toBeDefined();
  });

  it("leaves nothing that a start takes for the tail that it was writing anew", async () => {
    const notes = "/data/log/offset-checkpoint";
    const test = await logOf("abababa");
    await test.time.advance(2000);
    const noted = test.disk.peek(notes)!;
    await test.flush(batchAt(7, { key: "b" }));
    const content = await contentOf(test);
    const namesNow = async () => (await test.disk.list("/data/log")).map(({ name }) => name);
    test.faulty.plan(({ kind, path }) =>
      kind === "sync" && path.endsWith(".aside") ? { kind: "hang", ms: 1e9 } : undefined,
    );
    test.log.compact(now).catch(() => undefined);
    while (!(await namesNow()).some((name) => name.endsWith(".aside"))) await test.time.advance(1);
    // A start was killed when it had cut the last segment, and its tail did not have its name yet.
    test.disk.kill();
    test.faulty.plan(() => undefined);
    test.disk.put(notes, noted);
    const names = await namesNow();
    const last = `/data/log/${names.filter((name) => name.endsWith(".log")).at(-1)}`;
    const bytes = test.disk.peek(last)!;
    const [, tail] = [...iterateBatches(bytes)];
    if (tail?.kind !== "ok") throw new Error("The last segment has one batch");
    const { position, baseOffset } = tail.header;
    test.disk.put(`/data/log/${String(baseOffset).padStart(20, "0")}.log.aside`, bytes.slice(position));
    test.disk.put(last, bytes.slice(0, position));
    await test.reopen();
    expect(test.log.status.kind).toBe("online");
    expect(await contentOf(test)).toEqual(content);
  });

  it("ends when the log is closed, which does not wait for all of it", async () => {
    const test = await logOf("abababababababab");
    const compacting = test.log.compact(now);
    await test.log.close();
    expect(await compacting).toBeUndefined();
    await test.reopen();
    expect(await contentOf(test)).toHaveLength(16);
  });

  it("leaves gaps that nobody takes for damage, also when the topic is not compacted any more", async () => {
    const test = await logOf("abcbdefghijk", compacted({}));
    test.log.configure({ ...defaultLogSettings, ...compacted(), segmentBytes: 1000 });
    for (const round of [now, now + 1n]) {
      await test.log.compact(round);
      await test.flush(batchAt(test.log.logEndOffset, { key: "d" }), batchAt(test.log.logEndOffset + 1n, { key: "e" }));
      test.log.setHighWatermark(test.log.logEndOffset);
    }
    await test.log.close();
    const log = await test.reopen({ gaps: false, compaction: undefined });
    for (let offset = at(0); offset < log.logEndOffset; )
      ({ nextOffset: offset } = await log.read(offset, { maxBytes: 1 }));
    expect([log.status.kind, (await headersOf(test)).map(({ baseOffset }) => Number(baseOffset)).slice(0, 4)]).toEqual([
      "online",
      [0, 2, 3, 4],
    ]);
  });

  it.each([
    ["a round that ended", "cleaner-offset-checkpoint", { gaps: false, compaction: undefined }],
    ["a round that a stop interrupted", "", compacted()],
  ])(
    "leaves gaps also where no file was made for them, as before there was one, in %s",
    async (_, checkpoint, then) => {
      const test = await logOf("abcbdefghijk", compacted());
      test.log.configure({ ...defaultLogSettings, ...compacted(), segmentBytes: 1000 });
      await test.log.compact(now);
      const content = await contentOf(test);
      await test.log.close();
      for (const name of ["gaps", "cleaner-offset-checkpoint"])
        if (name !== checkpoint) await test.disk.remove(`/data/log/${name}`);
      for (const settings of [then, { gaps: false, compaction: undefined }]) {
        await test.reopen(settings);
        for (let offset = at(0); offset < test.log.logEndOffset; )
          ({ nextOffset: offset } = await test.log.read(offset, everything));
        expect([test.log.status.kind, await contentOf(test)]).toEqual(["online", content]);
        await test.log.close();
      }
    },
  );

  it("ends when the log is cut, and the cut counts", async () => {
    const test = await logOf("abababababababab");
    const compacting = test.log.compact(now);
    expect(await test.log.truncateTo(at(4))).toBe(at(4));
    expect(await compacting).toBeUndefined();
    expect(await contentOf(test)).toHaveLength(4);
  });
});
